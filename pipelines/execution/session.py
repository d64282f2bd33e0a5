"""What a job has in a process: its engines, their meter, and whether Ctrl-C was pressed.

Made in one place and handed down. A session that travels with a pickled DoFn is, in the process
that made it, itself; in another process it is made there, once.

KeyboardInterrupt can be raised anywhere, and where Beam or a destructor swallows it the run goes on
as if nothing had been pressed. So the first Ctrl-C only leaves a note; a second one raises.
"""

from __future__ import annotations

import atexit
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spar_core.engine.engines import Engines
from spar_core.engine.machine import Machine
from spar_core.engine.own_folder import own_folder


class Session:
    """Of one job; closed when the job ends. `busy` are those who have a bundle in progress.

    In the process that made it, its engines are of this process alone; where it travelled to, on
    workers, the processes of a machine share them.

    Args:
        log: where engines that are started write, "" for a file among the temporary ones. Where
            its folder is not there, on another machine, their lines go to a worker's log.
    """

    def __init__(self, log: str = "", name: str = "") -> None:
        self.log = log
        self.name = name or uuid.uuid4().hex
        self.busy: set[object] = set()
        self._has_travelled = bool(name)
        self._pressed = threading.Event()
        self._lock = threading.Lock()
        self._engines: Engines | None = None
        _sessions[self.name] = self

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[str, str]]:
        return _session, (self.name, self.log)

    @property
    def engines(self) -> Engines:
        """The engines of this process."""
        with self._lock:
            if self._engines is None:
                self._engines = Engines(self._file(), self._machine())
            return self._engines

    def _file(self) -> Path | None:
        """Where engines write, if its folder is there; None for a new temporary file."""
        return Path(self.log) if self.log and Path(self.log).parent.is_dir() else None

    def _machine(self) -> Machine | None:
        """What is shared with the other processes that the session travelled to."""
        if not self._has_travelled:
            return None
        return Machine(own_folder("spar-engines") / self.name, self._file())

    @property
    def is_pressed(self) -> bool:
        """Whether the job should stop."""
        return self._pressed.is_set()

    def press(self) -> None:
        """Have the job stop, as Ctrl-C does."""
        self._pressed.set()

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Take note of Ctrl-C while the body runs, unless it is ignored or not ours to handle."""
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def press(_number: int, _frame: object) -> None:
            if self._pressed.is_set():
                raise KeyboardInterrupt
            self._pressed.set()

        signal.signal(signal.SIGINT, press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def close(self) -> None:
        """Stop the engines of this process."""
        with self._lock:
            engines, self._engines = self._engines, None
        _sessions.pop(self.name, None)
        if engines:
            engines.close()


_sessions: dict[str, Session] = {}
"""The sessions of this process by name, so that what is unpickled finds its own."""

_finding = threading.Lock()


def _session(name: str, log: str) -> Session:
    with _finding:
        return _sessions.get(name) or Session(log, name)


@atexit.register
def _close_all(*_: Any) -> None:
    for session in list(_sessions.values()):
        session.close()
