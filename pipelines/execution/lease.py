"""Who may write to a run: one driver at a time.

On a disk it is a file lock of the kernel's: it ends with its holder however that ends, and a child
that is handed the open file holds it as long as it lives.

On an object store it is a lease: a file `_lease/<number>.json` that is created only if none of its
name is there, and written anew while its holder lives. The highest number counts. One that is not
renewed for `ENDS_S` is over, by the times that the store itself gives its files: no two machines'
clocks are compared. Whoever takes the run over creates the next number, so that of several one
does. The highest number is never removed and no number comes back to count, hence
- a holder that wakes up late finds a higher number than its own, and stops before it goes on;
- a taker that was slow, and created a number below the highest, finds that out as well.
Between such a look and the deed there is still a moment: what is done in it takes back failures or
removes files that nobody names for an hour, and commits are safe without any lease.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spar_core.dataset import Dataset
from terminal.exits import UsageError
from terminal.log import warn

RENEW_S = 15.0
"""A lease is renewed so often."""

ENDS_S = 90.0
"""A lease that is not renewed for so long is over."""

_FOLDER = "_lease"
_LOCK = ".lock"
_NAME = re.compile(r"(\d{1,15})\.json")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f]{0,300}")
"""What a holder says of itself: a short text without control characters."""


class RunLocked(Exception):
    """Another process works on this run."""


class LeaseLost(Exception):
    """The run was held, and is another's now: nothing may be swept or taken back any more."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a run.

    process: tells the process from all others of its machine, also from later ones of its number;
    "" where the system does not say. take: another one each time that a run is taken.
    """

    host: str
    pid: int
    process: str
    take: str

    @classmethod
    def me(cls) -> Holder:
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _process(pid), uuid.uuid4().hex)

    @classmethod
    def read(cls, text: bytes) -> Holder | None:
        """Who wrote it; None where nobody holds the run, or a file says nothing of the kind."""
        try:
            found = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        is_pid = isinstance(found.pid, int) and not isinstance(found.pid, bool) and found.pid > 0
        said = (found.host, found.process, found.take)
        is_plain = all(isinstance(each, str) and _PLAIN.fullmatch(each) for each in said)
        return found if is_pid and is_plain else None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @property
    def is_dead(self) -> bool:
        """Whether it is known to have ended: a process of this machine that is not there."""
        mine = _process(os.getpid())
        is_here = bool(self.process) and _machine(self.process) == _machine(mine)
        return is_here and _process(self.pid) != self.process

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _process(pid: int) -> str:
    """A process by its machine, as long as that is up, the numbers' space, and when it began."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
    return f"{boot} {space} {pid} {began}"


def _machine(process: str) -> list[str]:
    return process.split()[:2]


class Hold:
    """A run that is held."""

    def check(self) -> None:
        """Look whether it is held still.

        Raises:
            LeaseLost: it is not.
        """


@contextmanager
def held(dataset: Dataset, lost: Callable[[], None] = lambda: None) -> Iterator[Hold]:
    """Hold a run against other drivers.

    Args:
        lost: called, by another thread, when another driver has taken the run over.

    Raises:
        RunLocked: another one holds it.
        LeaseLost: another one took it over while the body ran, and that stopped it.
    """
    if dataset.is_local:
        os.makedirs(dataset.root, exist_ok=True)
        with locked(Path(dataset.root) / _LOCK, dataset.run):
            yield Hold()
        return
    lease = _Lease(dataset, lost)
    try:
        yield lease
    except Exception:
        if lease.why:
            raise LeaseLost(lease.why) from None
        raise
    finally:
        lease.end()


@contextmanager
def folder_locked(folder: Path, run: str) -> Iterator[int]:
    """Hold a folder, which is made where it is missing, by a lock file in it; see `locked`.

    Raises:
        UsageError: the folder cannot be written to.
        RunLocked: another process holds it.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
    with locked(path, run) as held:
        yield held


@contextmanager
def locked(path: Path, run: str) -> Iterator[int]:
    """Hold a lock file; yields the open file's number, for children to hold it too.

    Raises:
        RunLocked: another process holds it.
    """
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise RunLocked(_refused(run, Holder.read(file.read()))) from None
        file.truncate(0)
        file.write(Holder.me().to_json())
        file.flush()
        try:
            yield file.fileno()
        finally:
            file.truncate(0)


def holder(dataset: Dataset) -> Holder | None:
    """Who holds a run, as far as can be seen without taking it; None for nobody."""
    if dataset.is_local:
        path = Path(dataset.root) / _LOCK
        found = Holder.read(path.read_bytes()) if path.exists() else None
        return None if found is None or found.is_dead else found
    taken = _latest(dataset)
    return None if taken.holder is None or _left_s(dataset, taken) <= 0 else taken.holder


def _refused(run: str, holder: Holder | None, left_s: float | None = None) -> str:
    who = ""
    if holder:
        who = f": one that {holder} started" if holder.is_dead else f": {holder}"
    advice = "wait for it, or stop it with Ctrl-C"
    if left_s is not None:
        advice += f"; if it is dead, the run is free {max(1, round(left_s))} s from now"
    return f"another process is working on the run {run}{who}; {advice}"


@dataclass(frozen=True, slots=True)
class _Taken:
    """The lease that counts; number 0 where there was none yet, no holder where it was given up."""

    number: int = 0
    holder: Holder | None = None


@dataclass
class _Lease(Hold):
    """A lease on an object store, renewed by a thread of its own until it ends.

    why: how it was lost, "" while it was not.

    Raises:
        RunLocked: another driver has it.
    """

    dataset: Dataset
    lost: Callable[[], None]
    why: str = ""
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._me = Holder.me()
        self._number = _take(self.dataset, self._me)
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewing.start()

    def check(self) -> None:
        taken = _latest(self.dataset)
        if taken.number != self._number:
            who = f" by {taken.holder}" if taken.holder else ""
            self.why = (
                f"the run {self.dataset.run} was taken over{who}: nothing was heard of this "
                f"process for {ENDS_S:.0f} s"
            )
            raise LeaseLost(self.why)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            try:
                self.check()
                self.dataset.replace(_path(self.dataset, self._number), self._me.to_json())
            except LeaseLost:
                self.lost()
                return
            except Exception as error:  # whatever a store raises: the next try may do better
                warn(__name__, f"the lease was not renewed: {error}")

    def end(self) -> None:
        """Give it up."""
        self._over.set()
        self._renewing.join()
        if not self.why:
            with contextlib.suppress(Exception):  # then it ends by itself
                self.dataset.replace(_path(self.dataset, self._number), b"")


def _take(dataset: Dataset, me: Holder) -> int:
    """Take the lease; returns its number."""
    made = 0
    dataset.fs.makedirs(f"{dataset.root}/{_FOLDER}", exist_ok=True)
    while True:
        taken = _latest(dataset)
        if taken.holder == me:
            for number in _numbers(dataset):
                if number < taken.number:
                    _remove(dataset, number)
            return taken.number
        if made:
            _remove(dataset, made)
        if taken.holder and (left_s := _left_s(dataset, taken)) > 0:
            raise RunLocked(_refused(dataset.run, taken.holder, left_s))
        made = taken.number + 1
        if not dataset.create(_path(dataset, made), me.to_json()):
            made = 0


def _latest(dataset: Dataset) -> _Taken:
    while True:
        number = max(_numbers(dataset), default=0)
        if not number:
            return _Taken()
        # One that is gone by now was followed by another.
        with contextlib.suppress(FileNotFoundError):
            return _Taken(number, Holder.read(dataset.fs.cat_file(_path(dataset, number))))


def _numbers(dataset: Dataset) -> list[int]:
    folder = f"{dataset.root}/{_FOLDER}"
    dataset.fs.invalidate_cache(folder)
    try:
        paths = dataset.fs.ls(folder, detail=False)
    except FileNotFoundError:
        return []
    names = [_NAME.fullmatch(path.rstrip("/").rpartition("/")[2]) for path in paths]
    return [int(name[1]) for name in names if name]


def _left_s(dataset: Dataset, taken: _Taken) -> float:
    """How long a lease lasts still, unless it is renewed."""
    if taken.holder and taken.holder.is_dead:
        return 0.0
    fs = dataset.fs
    clock = f"{dataset.root}/{_FOLDER}/clock-{uuid.uuid4().hex}"
    fs.pipe_file(clock, b".")
    try:
        fs.invalidate_cache(f"{dataset.root}/{_FOLDER}")
        age = fs.modified(clock) - fs.modified(_path(dataset, taken.number))
    except FileNotFoundError:  # another one counts by now
        return ENDS_S
    finally:
        fs.rm_file(clock)
    return ENDS_S - float(age.total_seconds())


def _remove(dataset: Dataset, number: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        dataset.fs.rm_file(_path(dataset, number))


def _path(dataset: Dataset, number: int) -> str:
    return f"{dataset.root}/{_FOLDER}/{number}.json"
