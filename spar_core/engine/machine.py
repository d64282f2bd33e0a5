"""Servers that the processes of a machine share: the first starts one, the last to leave ends it.

A folder holds what they know of each other:

    lock             held by whoever comes, and by a guardian while it stops its server
    NAME/state.json  where the server NAME listens, and whether it bears no other beside it
    NAME/alive       locked by the guardian as long as the server is up
    NAME/seats/      a file a process that uses the server, locked by that process
    NAME/log         what the server says, where no other file is named; NAME/reader is locked by
                     the process that hands it on to its own log
    NAME/answered    of a server that has answered a process once
    NAME/exit_code   of a server that ended by itself

All locks are the kernel's (flock), so that they end with whoever holds them, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from spar_core.engine.protocol import EngineAway, EngineGone
from spar_core.engine.start_failure import why_not_up

START_TIMEOUT_S = 1800.0
TURN_S = 600.0
"""How long to wait for others to leave a server that is in the way of a new one."""

_POLL_S = 0.5
_FORBIDDEN, _MISSING = (401, 403), (404, 405, 501)
"""Statuses of a page that wants a key, and of one that a server does not have."""
_SAID = logging.getLogger("spar_core.engine.output")
"""What servers say, line by line."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started.

    name: as messages say it. bears_others: whether other servers may be up beside it.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    bears_others: bool


class Machine:
    """The servers in a folder of this machine, one a key.

    Args:
        log: where servers write; None for a file of each that goes with it, and is handed on to
            the log of one of the processes until then.
    """

    def __init__(self, folder: Path, log: Path | None = None) -> None:
        self._folder = folder
        self._log = log

    def join(self, key: str, command: Callable[[int], Command]) -> Seat:
        """Use the server of a key, starting it where it is not up, and wait until it answers.

        A server that answered others and dies while this process joins it is started anew.

        Args:
            command: how it is started to listen at a port.

        Raises:
            EngineGone: it does not start.
            EngineAway: another that is in use bears none beside it.
        """
        place = self._folder / hashlib.sha256(key.encode()).hexdigest()[:16]
        while True:
            seat = self._wait_for_seat(place, command)
            answered_before = seat.has_answered
            try:
                seat.wait_until_up()
                return seat
            except EngineGone:
                seat.close()
                if not answered_before:
                    raise
            except BaseException:
                seat.close()
                raise

    def _wait_for_seat(self, place: Path, command: Callable[[int], Command]) -> Seat:
        """A seat at the server, once no other is in its way.

        Raises:
            EngineAway: another that is in use bears none beside it.
        """
        deadline = time.monotonic() + TURN_S
        while not (seat := self._seat(place, command)):
            if time.monotonic() >= deadline:
                raise EngineAway(
                    f"another engine of this machine is in use for longer than {TURN_S:.0f} s and "
                    "none is started beside it: give one of them a URL"
                )
            time.sleep(_POLL_S)
        return seat

    def _seat(self, place: Path, command: Callable[[int], Command]) -> Seat | None:
        """A seat at the server; None while another is in its way."""
        with _alone_in(self._folder):
            if not _is_up(place):
                made = command(port := free_port())
                if any(_are_apart(other, made) for other in self._folder.glob("*/")):
                    return None
                self._begin(place, made, port)
            return Seat(place)

    def _begin(self, place: Path, command: Command, port: int) -> None:
        shutil.rmtree(place, ignore_errors=True)  # of one that died
        (place / "seats").mkdir(parents=True)
        log = self._log or place / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with (place / "alive").open("wb") as alive, log.open("ab") as output:
            fcntl.flock(alive, fcntl.LOCK_EX)  # the guardian's from here on
            state = {
                "name": command.name,
                "url": f"http://127.0.0.1:{port}",
                "bears_others": command.bears_others,
                "log": str(log),
                "said_before": output.tell(),
            }
            (place / "state.json").write_text(json.dumps(state))
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "spar_core.engine.guardian"),
                    *("--seats", str(place), *command.words),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=dict(command.environment),
                pass_fds=(alive.fileno(),),
            )


class Seat:
    """A process' use of a server that is shared; taken while nobody else comes or goes.

    url: of the server. sharers: processes that use it, as last counted.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        state = json.loads((place / "state.json").read_text())
        self.url: str = state["url"]
        self._name: str = state["name"]
        self._log = Path(state["log"])
        self._said_before: int = state["said_before"]
        self._alive = (place / "alive").open("rb")
        self._file = place / "seats" / f"{os.getpid()}-{uuid.uuid4().hex}"
        self._held = self._file.open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._is_closed = threading.Event()
        self.sharers = 1
        self.count()
        if self._log.parent == place:
            threading.Thread(target=self._hand_on, name="engine-log", daemon=True).start()

    @property
    def is_up(self) -> bool:
        """Whether the server is, as far as one with a seat can tell; there is no way back."""
        return not self._alive.closed and _is_locked(self._alive)

    @property
    def is_closed(self) -> bool:
        return self._is_closed.is_set()

    @property
    def has_answered(self) -> bool:
        """Whether the server has answered any process."""
        return (self._place / "answered").exists()

    def count(self) -> None:
        """Count the processes that use the server now."""
        self.sharers = max(1, seated(self._place))

    def wait_until_up(self) -> None:
        """Wait until the server answers.

        Raises:
            EngineGone: it ended, or took too long.
        """
        wait_until_up(self, self._name, self._log, START_TIMEOUT_S)
        with contextlib.suppress(FileNotFoundError):
            (self._place / "answered").touch()

    def close(self) -> None:
        """Use it no longer; who is last has it stopped."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        self._file.unlink(missing_ok=True)
        self._held.close()
        if not self.is_up:
            with _alone_in(self._place.parent):
                if not _is_up(self._place) and not seated(self._place):
                    clear(self._place)
        self._alive.close()

    def why_not(self) -> str:
        """Why it is not up."""
        code = "unknown"
        with contextlib.suppress(OSError):
            code = (self._place / "exit_code").read_text()
        said = why_not_up(self._name, code, self._log, self._said_before)
        kept = "" if self._log.parent == self._place else f"\nAll it said is in {self._log}"
        return f"{said}{kept}"

    def _hand_on(self) -> None:
        """Log the server's lines while this process is the one that does; all of them are heard."""
        reader: BinaryIO | None = None
        try:
            with self._log.open("rb") as said:
                while not self._is_closed.wait(_POLL_S):
                    reader = reader or _lock_now(self._place / "reader")
                    if reader:
                        _log_lines(said)
                    else:
                        said.seek(0, os.SEEK_END)
                if reader:
                    _log_lines(said)
        except OSError:
            pass  # the folder went with the server
        finally:
            if reader:
                reader.close()


def _log_lines(said: BinaryIO) -> None:
    """Log the whole lines that a file has from here on."""
    while line := said.readline():
        if not line.endswith(b"\n"):
            said.seek(-len(line), os.SEEK_CUR)
            return
        if text := line.decode(errors="replace").rstrip():
            _SAID.info("%s", text)


def seated(place: Path) -> int:
    """How many processes use the server in a folder."""
    count = 0
    for file in (place / "seats").glob("*"):
        with contextlib.suppress(FileNotFoundError), file.open("rb") as opened:
            count += _is_locked(opened)
    return count


def vacated(place: Path) -> BinaryIO | None:
    """The lock of all, where nobody uses the server; None where somebody does or may come now."""
    if seated(place):
        return None
    with contextlib.suppress(OSError):
        lock = _lock_now(place.parent / "lock")
        if lock and not seated(place):
            return lock
        if lock:
            lock.close()
    return None


def clear(place: Path) -> None:
    """Remove what a server left, and the folder of all where it was the last: under the lock."""
    shutil.rmtree(place, ignore_errors=True)
    if not any(place.parent.glob("*/")):
        shutil.rmtree(place.parent, ignore_errors=True)


class Starting(Protocol):
    """A server that was started."""

    url: str

    @property
    def is_up(self) -> bool:
        """Whether it has not ended."""

    def why_not(self) -> str:
        """Why it ended."""


def wait_until_up(server: Starting, name: str, log: Path, timeout_s: float) -> None:
    """Wait until a server answers.

    Args:
        name: as messages say it. log: what it says.

    Raises:
        EngineGone: it ended, or took too long.
    """
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not server.is_up:
            raise EngineGone(server.why_not())
        if _answers(directly, server.url):
            return
        time.sleep(_POLL_S)
    raise EngineGone(f"{name} did not answer at {server.url} in {timeout_s:.0f} s; see {log}")


def _answers(opener: urllib.request.OpenerDirector, url: str) -> bool:
    """Whether a server is ready: by `/health`, or by its list of models where it has no such page.

    A server that wants a key for the page is ready, too: the client has the key.
    """
    for page in ("/health", "/v1/models"):
        try:
            with opener.open(f"{url}{page}", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _FORBIDDEN:
                return True
            if error.code not in _MISSING:
                return False  # as 503, while it loads the model
        except (OSError, http.client.HTTPException):
            return False
    return False


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _are_apart(other: Path, command: Command) -> bool:
    """Whether a server is up beside which another must not be started."""
    if not _is_up(other):
        return False
    state = json.loads((other / "state.json").read_text())
    return not (state["bears_others"] and command.bears_others)


def _is_up(place: Path) -> bool:
    try:
        with (place / "alive").open("rb") as alive:
            return _is_locked(alive)
    except FileNotFoundError:
        return False


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of all."""
    lock = None
    while not lock:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(folder / "lock")
    with lock:
        yield


def _lock_now(file: Path) -> BinaryIO | None:
    """A file, locked; None where another holds it, or its folder is gone."""
    try:
        return _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _lock(file: Path, how: int = fcntl.LOCK_EX) -> BinaryIO | None:
    """A file, locked; None where it was removed by who held it, or its folder is gone.

    Raises:
        BlockingIOError: another holds it, and it is not to be waited for.
    """
    opened: BinaryIO | None = None
    try:
        opened = file.open("ab")
        fcntl.flock(opened, how)
        if os.path.samestat(os.fstat(opened.fileno()), file.stat()):
            return opened
    except FileNotFoundError:
        pass
    except BaseException:
        if opened:
            opened.close()
        raise
    if opened:
        opened.close()
    return None


def _is_locked(opened: BinaryIO) -> bool:
    """Whether somebody else holds the lock of an opened file."""
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(opened, fcntl.LOCK_UN)
    return False
