"""Doing the steps of a reproduction one after the other, and writing its page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.execution import child, child_end, lease
from pipelines.execution.child import ChildEnded
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.reproduction.record import Record
from pipelines.reproduction.step import Step, module
from terminal.console import Console
from terminal.exits import (
    DONE,
    NOTHING_LEFT,
)

PAGE = "reproduction.md"


def run(folder: Path, record: Record, all_steps: Sequence[Step], out: Console) -> int:
    """Do the steps that are left, one after the other, and write the page."""
    session = Session()
    with session.noticing(), lease.folder_locked(folder, str(folder)) as lock:
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
    code = NOTHING_LEFT
    if command:
        code = child.run(command, [lock])
        child_end.check(code, step.name, session)
    record.done(step.name, command or [], time.monotonic() - began, code, step.evaluation)
