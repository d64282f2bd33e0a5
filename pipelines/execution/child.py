"""Programs that a job runs one after another, and that do not outlive it.

Run as `python -m pipelines.execution.child PARENT COMMAND ...`: becomes the command, which is
interrupted when the process PARENT that started it ends, even a killed one (on Linux).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from terminal.trail import WITHIN

_PR_SET_PDEATHSIG = 1


class ChildEnded(Exception):
    """A program that a job ran could not do its work; "" where it has said why itself."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def run(command: Sequence[str], keep: Sequence[int] = ()) -> int:
    """Run a command to its end; Ctrl-C reaches it too, so that it ends by itself.

    Args:
        keep: open files, of locks, that it holds as long as it lives.

    Returns:
        Its exit code; of a signal the negative number.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        pass_fds=keep,
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def main(parent: str, *command: str) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != int(parent):
        return 4
    os.environ[WITHIN] = "1"
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"error: cannot run {command[0]}: {error.strerror}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
