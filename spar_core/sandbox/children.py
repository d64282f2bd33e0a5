"""The confined processes of the sandbox, seen from the one who asks: few, kept, replaced."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from spar_core.filters.library import NoLibrary, needed
from terminal.packages import extra, missing

PACKAGE = "pydantic-monty"
_SCRIPT = Path(__file__).with_name("child.py")
_START_S = 60.0
_END_S = 5.0
_ANSWER = 1 << 20
"""Bytes of an answer; a child that says more is not ours any more."""


class Children:
    """As many confined processes as there are cores, started when they are first needed.

    Any thread may ask; one that finds all of them busy waits for its turn.
    """

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._turns = threading.BoundedSemaphore(os.cpu_count() or 1)

    def ask(self, request: bytes, seconds: float) -> bytes:
        """What a child answers to a request, both a line.

        Raises:
            TimeoutError: nothing in time. The child is killed.
            ChildProcessError: the child died.
            NoLibrary: no child can be started.
        """
        with self._turns:
            child = self._taken()
            try:
                answer = child.ask(request, seconds)
            except BaseException:
                child.end()
                raise
            self._idle.append(child)
            return answer

    def close(self) -> None:
        """End the children that are idle."""
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        """Leave the children to the process that this one was forked from."""
        self._idle = []
        self._turns = threading.BoundedSemaphore(os.cpu_count() or 1)

    def _taken(self) -> _Child:
        with contextlib.suppress(IndexError):
            while True:
                child = self._idle.pop()
                if child.lives():
                    return child
                child.end()
        return _Child()


class _Child:
    """A confined process, which has nothing of this one: no files, no environment, no folder."""

    def __init__(self) -> None:
        needed("pydantic_monty", PACKAGE, "the sandbox", "code")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            process_group=0,
        )
        try:
            self.ask(b"", _START_S)
        except (TimeoutError, ChildProcessError):
            self.end()
            code = self._process.returncode
            said = missing("the sandbox", PACKAGE, extra("code"))
            raise NoLibrary(f"{said} (it does not start: exit code {code})") from None

    def ask(self, request: bytes, seconds: float) -> bytes:
        """As `Children.ask`; after an error it must be ended."""
        assert self._process.stdin and self._process.stdout  # noqa: S101
        is_late = threading.Event()

        def kill() -> None:
            is_late.set()
            self._kill()

        watch = threading.Timer(seconds, kill)
        watch.start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            answer = self._process.stdout.readline(_ANSWER)
        except OSError:
            answer = b""
        finally:
            watch.cancel()
            watch.join()
        if is_late.is_set():
            raise TimeoutError(f"nothing in {seconds} s")
        if not answer.endswith(b"\n"):
            raise ChildProcessError("the sandbox's process died")
        return answer

    def lives(self) -> bool:
        state = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, state) is None

    def close(self) -> None:
        """Have it end by itself, and its worker with it."""
        assert self._process.stdin and self._process.stdout  # noqa: S101
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(_END_S)
        self.end()

    def end(self) -> None:
        """Kill it and its worker."""
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()

    def _kill(self) -> None:
        """It is not waited for before, so the number of its group is still its own."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


CHILDREN = Children()
"""Those of this process."""
atexit.register(CHILDREN.close)
os.register_at_fork(after_in_child=CHILDREN.forget)
