"""Doing the steps of a reproduction one after the other, and writing its page."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from pipelines.execution import child, lease
from pipelines.execution.child import ChildEnded
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.reproduction.record import Record
from pipelines.reproduction.step import Step, module
from terminal.exits import (
    BAD_USAGE,
    DONE,
    NOTHING_LEFT,
    OTHER_SETTINGS,
    STOPPED,
    WITH_FAILURES,
    UsageError,
)

PAGE = "reproduction.md"


def run(folder: Path, record: Record, all_steps: Sequence[Step], out: Console) -> int:
    """Do the steps that are left, one after the other, and write the page."""
    session = Session()
    with session.noticing(), _locked(folder) as lock:
        for number, step in enumerate(all_steps, 1):
            if record.code(step.name) is None:
                if session.is_pressed:
                    raise RunStopped(INTERRUPTED)
                out.print(f"\nstep {number} of {len(all_steps)}: {step.name}", markup=False)
                _do(step, record, session, lock)
        page = folder / PAGE
        command = ["--run", str(folder), "--output", str(page)]
        code = child.run(module("inspection.reproduction", command), [lock])
    if code != DONE:
        raise ChildEnded(code)
    out.print(f"\nall steps are done; the page: {page}", markup=False)
    return DONE


def _do(step: Step, record: Record, session: Session, lock: int) -> None:
    """Do a step, and write down that it is done."""
    began = time.monotonic()
    if step.before:
        step.before()
    command = step.command()
    code = child.run(command, [lock]) if command else NOTHING_LEFT
    # Failing items stop nothing that follows.
    if code not in (DONE, WITH_FAILURES):
        _end(step, code, session)
    record.done(step.name, command or [], time.monotonic() - began, code, step.evaluation)


def _end(step: Step, code: int, session: Session) -> None:
    """Stop after a step that could not do its work."""
    if session.is_pressed:
        raise RunStopped(INTERRUPTED)
    if code in (BAD_USAGE, STOPPED, OTHER_SETTINGS):
        raise ChildEnded(code)
    how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
    raise ChildEnded(STOPPED, f"{step.name} {how}: run the same command again to go on")


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the folder against other processes that reproduce in it."""
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
    with lease.locked(path, str(folder)) as held:
        yield held
