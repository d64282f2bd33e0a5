"""Keeps a server no longer than the process that wants it, however that process ends.

Run as `python -m spar_core.engine.guardian COMMAND ...`: starts the command in a process group of
its own and stops the whole group when standard input closes, which the kernel does for a process
that is killed too. The command's temporary folder goes with it. The exit code is the command's.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

_POLL_S = 0.2
_STOP_S = 20.0


def main(command: list[str]) -> int:
    for sign in (signal.SIGINT, signal.SIGTERM):
        # The closing of standard input is what counts. (SIG_IGN would be handed down.)
        signal.signal(sign, lambda *_: None)
    with tempfile.TemporaryDirectory(prefix="spar-server-", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,
            env={**os.environ, "TMPDIR": scratch},
        )
        while process.poll() is None:
            if select.select([sys.stdin], [], [], _POLL_S)[0] and not os.read(0, 1):
                break
        stop(process)
        return process.returncode


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group: politely, then not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while _lives(process) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
