"""Keeps a server no longer than the processes that want it, however these end.

Run as `python -m spar_core.engine.guardian COMMAND ...`: starts the command in a process group of
its own and stops the whole group when standard input closes, which the kernel does for a process
that is killed too. The command's temporary folder goes with it. The exit code is the command's.

`--seats FOLDER COMMAND ...` keeps the server of a folder that several share (`machine`) until the
last seat is free, and clears the folder.
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
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from spar_core.engine import machine

_POLL_S = 0.2
_STOP_S = 20.0


def main(command: list[str]) -> int:
    for sign in (signal.SIGINT, signal.SIGTERM):
        # That nobody wants it any more is what counts. (SIG_IGN would be handed down.)
        signal.signal(sign, lambda *_: None)
    if command[0] == "--seats":
        return _keep_for_seats(Path(command[1]), command[2:])
    return _keep(command, _is_input_closed)


def _keep(command: list[str], is_over: Callable[[], bool]) -> int:
    """Run a command until it ends or is over; the exit code is its own."""
    with tempfile.TemporaryDirectory(prefix="spar-server-", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,
            env={**os.environ, "TMPDIR": scratch},
        )
        while process.poll() is None and not is_over():
            pass
        stop(process)
        return process.returncode


def _is_input_closed() -> bool:
    return bool(select.select([sys.stdin], [], [], _POLL_S)[0]) and not os.read(0, 1)


def _keep_for_seats(place: Path, command: list[str]) -> int:
    lock: BinaryIO | None = None

    def is_over() -> bool:
        nonlocal lock
        time.sleep(_POLL_S)
        lock = machine.vacated(place)
        return lock is not None

    code = _keep(command, is_over)
    if lock:
        machine.clear(place)  # nobody could come while it was being stopped
    else:
        with contextlib.suppress(OSError):
            (place / "exit_code").write_text(str(code))
    return code


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
