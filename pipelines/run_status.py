"""How far a run is, stage by stage, who works on it, and how its job elsewhere is: shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from pipelines.execution import lease
from pipelines.execution.advance import Advance, advances
from pipelines.execution.job_note import JobNotFound, Running, noted
from schemas.table import MAIN
from spar_core.dataset import Dataset
from terminal.console import Console
from terminal.exits import UsageError
from terminal.text import as_table


def show(run: str, out: Console) -> None:
    """Say how far a run is.

    Raises:
        UsageError: there is none.
    """
    dataset = Dataset(run, 0)
    found, job, who = list(advances(run)), noted(dataset), lease.holder(dataset)
    if not found and not job and not who:
        raise UsageError(f"no run at {run} (python -m pipelines.refine makes one)")
    out.print(f"{run}: {who or 'nobody'} works on it", markup=False, soft_wrap=True)
    if job:
        where = f" ({job.place.url})" if job.place.url else ""
        out.print(f"{job.name}: {job.place}{where}: {_state(job)}", markup=False, soft_wrap=True)
    if found:
        out.print(_table(found))


def _state(job: Running) -> str:
    from pipelines.execution import running  # loads Beam

    try:
        return running.state_of(job)
    except JobNotFound as error:
        return f"state not known, {error}"


def _table(found: Sequence[Advance]) -> Table:
    """A row a stage; variants are named where there are any."""
    are_several = any(each.variant != MAIN for each in found)
    columns = ["iteration", "stage", *(["variant"] if are_several else [])]
    columns += ["done", "pending", "failed", "tokens", "last commit"]
    rows = [
        [
            *(each.iteration, each.stage, *([each.variant] if are_several else [])),
            *(each.done, each.pending, each.failed, each.tokens),
            f"{each.last.astimezone():%Y-%m-%d %H:%M:%S}" if each.last else None,
        ]
        for each in found
    ]
    return as_table(columns, rows)
