"""Crashes without a process: images of a run's folder at every moment, and stages without Beam.

A process that is killed leaves the disk as it is at that moment and nothing else. So a stage is
done once, undisturbed, and before each change to the run's folder (a file opened for writing,
renamed, linked or removed) the folder is copied: such an image is what a kill at that moment
leaves. Going on from an image with nothing in memory is going on after the kill; whatever the
process would have done after it, in a `finally` say, is not in the image. Python's audit events
tell of the changes: no window is missed because nobody thought of it, and none of the product's
functions is patched for it.
"""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.execution import intakes, job, launch
from pipelines.execution.inference import Inference
from pipelines.execution.lease import Hold
from pipelines.execution.options import Job
from pipelines.execution.parts import Claimed, parts, together
from pipelines.execution.session import Session
from schemas import manifest
from schemas.entries import Entry
from spar_core.dataset import Dataset
from spar_core.engine.meter import Meter
from spar_core.engine.protocol import ChatRequest
from spar_core.engine.scripted import Script, ScriptedEngine
from spar_core.engine.spec import EngineSpec
from spar_core.stage import Context, Item, Stage
from terminal.console import Console

ITERATION = 1

BUCKETS = 3
"""A stage's items lie in so many buckets, so that it commits several times."""

SLOTS = 1
"""Four items are in progress at once: at most commits others are half done."""

_DATA = re.compile(r"os\.rename [^_].*\.parquet")
"""Before a data file, whole under a temporary name, gets its own."""

Asked = tuple[str, str, str]
"""A request: the stage and the key of the item that it was for, and what it said."""


@dataclass
class Log:
    """What was done: items in the order in which they were begun, requests in that of answers."""

    items: list[tuple[str, str]] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)


_log = Log()
_script: Script
_doing: ContextVar[tuple[str, str]] = ContextVar("doing")


@contextmanager
def logging(script: Script) -> Iterator[Log]:
    """Engines that play a script, and a log of what is done by `scripted` jobs in the body."""
    global _log, _script
    _log, _script = Log(), script
    yield _log


def engine(meter: Meter) -> ScriptedEngine:
    """The engine of `scripted` jobs."""

    def answer(request: ChatRequest) -> Sequence[str]:
        _log.requests.append((*_doing.get(), repr(request)))
        return _script(request)

    return ScriptedEngine(answer, meter, remember=False)


def scripted(asked: Job) -> Job:
    """The job with scripted engines, whose items are logged."""
    spec = EngineSpec("scripted", f"{__name__}:{engine.__name__}", slots=SLOTS)
    stages = tuple(dataclasses.replace(each, task=_logged(each)) for each in asked.stages)
    return dataclasses.replace(asked, stages=stages, engines=dict.fromkeys(asked.engines, spec))


def _logged(stage: Stage[Any]) -> Any:
    async def task(context: Context[Any], item: Item) -> Any:
        doing = (stage.name, item["key"])
        _doing.set(doing)
        _log.items.append(doing)
        return await stage.task(context, item)

    return task


def _without_beam(
    parts: Any, works: Any, dataset: Any, specs: Any, _: Any, session: Any, *__: Any
) -> object:
    """`launch` as one bundle in this thread."""
    doing = Inference(parts, dataset, specs, session)
    doing.setup()
    try:
        doing.start_bundle()
        for each in works:
            doing.process(each)
        doing.finish_bundle()
    finally:
        doing.teardown()
    return object()


@contextmanager
def without_beam(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stages are done by their DoFn, with no pipeline around it; nothing waits for the disk."""
    with monkeypatch.context() as patch:
        for module in (job, launch):
            patch.setattr(module, "launch", _without_beam, raising=False)
        patch.setattr(os, "fsync", lambda _: None)  # a process dies, the machine goes on
        yield


@contextmanager
def uncounted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is left is not counted, which takes another plan: who compares the rows knows."""
    with monkeypatch.context() as patch:
        patch.setattr(job, "pending", lambda *_: 0)
        patch.setattr(job, "pending_prompts", lambda *_: 0)
        yield


def read(asked: Job, limit: int | None = None) -> tuple[Job, Sequence[str] | None]:
    """Read a job's input into its run; the job, and the ids of what it is to do."""
    return intakes.intake_of(asked.stages)(
        dataclasses.replace(asked, limit=limit), Console(file=io.StringIO())
    )


def steps(asked: Job, scope: Sequence[str] | None) -> list[list[Claimed]]:
    """What a job does one after another: a stage, or several in one pipeline."""
    claimed = parts(asked, scope)
    at_once = together(asked, claimed)
    return [some for some in [at_once, *([each] for each in claimed[len(at_once) :])] if some]


def do(asked: Job, some: Sequence[Claimed], session: Session) -> int:
    """Do a step as a driver does it; how much of it is left then."""
    quiet = Console(file=io.StringIO())
    asked.dataset.sweep()
    for each in some:
        asked.dataset.buckets(each.part.stage.name, each.part.variant, BUCKETS)
    left = job._run(asked, session, Hold(), lambda: None, quiet, quiet, some)
    assert left is not None
    return left


@dataclass(frozen=True)
class Image:
    """What a kill leaves: a copy of the run.

    moment: what was about to be done. answered: how many requests were answered before.
    """

    run: Path
    moment: str
    answered: int


class Images:
    """Copies a run's folder before changes to it while active; see `taking`.

    Args:
        folders: of the stages whose entries are commits.
        only_commits: no images but one right before the first commit and one after each.
    """

    def __init__(
        self,
        run: Path,
        place: Path,
        session: Session,
        log: Log,
        folders: Sequence[str],
        *,
        only_commits: bool,
    ) -> None:
        self.run = run
        self.thread = threading.get_ident()  # that commits
        self._place, self._session, self._log = place, session, log
        self._folders = [f"{manifest.FOLDER}/iteration={ITERATION}/{name}/" for name in folders]
        self._only_commits = only_commits
        self._last: set[str] | None = None
        self._has_scratch = False
        self.taken: list[Image] = []

    def before(self, moment: str) -> None:
        """Take an image, unless what counts is as it was in the last one.

        A temporary file is in one image, right before it is renamed for the first time.
        """
        is_first_data = not self._has_scratch and _DATA.match(moment) is not None
        if self._only_commits and not (is_first_data or self._has_scratch):
            return
        with _paused(self._session.engines.loop):
            held = {name for name in self._names() if not name.endswith(".tmp")}
            if held == self._last and not is_first_data:
                return
            self._has_scratch |= is_first_data
            self._last = held
            to = self._place / f"{len(self.taken)}"
            shutil.copytree(self.run, to, copy_function=_copy)
            self.taken.append(Image(to, moment, len(self._log.requests)))

    def _names(self) -> Iterator[str]:
        """What tells one moment from another: files, and whether there are any work files."""
        begins = tuple(self._folders) if self._only_commits else ""
        for path in self.run.rglob("*"):
            name = str(path.relative_to(self.run))
            if path.is_file() and not name.startswith("_journal/") and name.startswith(begins):
                yield "_work" if name.startswith("_work/") else name


def _copy(source: str, to: str) -> str:
    """A link where a file is written once, under another name first; else a copy."""
    if "/_work/" in source or "/_journal/" in source:
        return str(shutil.copy2(source, to))
    os.link(source, to)
    return to


_active: Images | None = None
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@contextmanager
def taking(images: Images) -> Iterator[None]:
    """Take images of a run in the body, before each change and at its end."""
    global _active
    _active = images
    try:
        yield
    finally:
        _active = None
    images.before("the end")


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    global _active
    if _active is None or event not in _CHANGES or threading.get_ident() != _active.thread:
        return
    path = _CHANGES[event](arguments)
    images = _active
    if path and path.startswith(f"{images.run}/") and "/_journal/" not in path:
        _active = None  # it changes files itself
        try:
            images.before(f"{event} {path.removeprefix(f'{images.run}/')}")
        finally:
            _active = images


def _opened(arguments: tuple[Any, ...]) -> str:
    path, mode, flags = arguments
    if not isinstance(path, str) or not (flags & _WRITING if mode is None else {*mode} & {*"wax+"}):
        return ""
    return path


def _removed(arguments: tuple[Any, ...]) -> str:
    path, folder = arguments[0], arguments[-1]
    return str(path) if folder == -1 else f"{os.readlink(f'/proc/self/fd/{folder}')}/{path}"


_CHANGES: Mapping[str, Callable[[tuple[Any, ...]], str]] = {
    "open": _opened,
    "os.rename": lambda given: str(given[0]),
    "os.link": lambda given: str(given[0]),
    "os.remove": _removed,
}

sys.addaudithook(_watch)


@contextmanager
def _paused(loop: Any) -> Iterator[None]:
    """Nothing happens on an event loop of another thread meanwhile."""
    stopped, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        stopped.set()
        go_on.wait()

    loop.call_soon_threadsafe(wait)
    stopped.wait()
    try:
        yield
    finally:
        go_on.set()


def entries(run: Path, some: Sequence[Claimed]) -> dict[str, Entry]:
    """The entries of some stages that count, by their path in the run."""
    found: dict[str, Entry] = {}
    for each in some:
        found |= Dataset(str(run), ITERATION).entries(each.part.stage.name, each.part.variant)
    return {str(Path(path).relative_to(run)): entry for path, entry in found.items()}


def rows(run: Path, some: Mapping[str, Entry]) -> dict[str, list[str]]:
    """The rows that entries name, by table, as sorted text."""
    held: dict[str, list[str]] = {}
    for entry in some.values():
        for table, file in entry.files.items():
            read = pq.ParquetFile(run / file.path).read().to_pylist()
            held.setdefault(table, []).extend(map(repr, read))
    return {table: sorted(found) for table, found in sorted(held.items())}


def contents(run: Path, some: Mapping[str, Entry]) -> dict[str, bytes]:
    """What the files hold that entries are and name, by path."""
    paths = [*some, *(file.path for entry in some.values() for file in entry.files.values())]
    return {path: (run / path).read_bytes() for path in paths}
