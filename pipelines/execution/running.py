"""The job that a run has on a runner elsewhere, noted in the run: it may outlive its driver.

Noted where it is submitted and forgotten when a driver has seen it end; a driver that comes between
refuses to begin, or attaches to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipelines.execution import elsewhere, stop, work
from pipelines.execution.job_note import JobNotFound, Place, Running, forget, note, noted
from pipelines.execution.launch import watch
from pipelines.execution.lease import RunLocked
from pipelines.execution.session import Session
from spar_core.dataset import Dataset
from terminal.console import Console


@contextmanager
def noting(
    dataset: Dataset,
    options: PipelineOptions,
    running: Callable[[Place], Running],
    out: Console,
    *,
    leaves: bool,
) -> Iterator[Callable[[Any], bool]]:
    """Note the job that is launched in the body, and forget it when it is seen to have ended.

    Args:
        options: of the job, as they were before its runner had them.
        leaves: whether it is not waited for.

    Yields:
        What `launch` is to be told of it by.
    """
    told: list[tuple[Running, Any]] = []

    def tell(result: Any) -> bool:
        if _has_ended(result):
            return False
        job = running(elsewhere.place_of(result, options))
        told.append((job, result))
        note(dataset, job)
        where = f": {job.place.url}" if job.place.url else ""
        out.print(f"{job.name}: {job.place}{where}", markup=False)
        return leaves

    try:
        yield tell
    finally:
        ended = [job for job, result in told if _has_ended(result)]
        for job in ended:
            forget(dataset, job)
        if len(ended) == len(told):
            stop.clear(dataset)


def _has_ended(result: Any) -> bool:
    try:
        return bool(PipelineState.is_terminal(result.state))
    except Exception:  # whatever a runner raises: nobody knows
        return False


def state_of(running: Running) -> str:
    """What its runner says of a job: a state of Beam's.

    Raises:
        JobNotFound: nothing.
    """
    return elsewhere.find(running.place).state


def settle(dataset: Dataset, session: Session, out: Console, *, attach: bool) -> None:
    """See to the job that another driver left, before anything else is done to its run.

    Args:
        attach: wait for it if it is not ended.

    Raises:
        RunLocked: it is not ended and not to be waited for, or to be waited for and not found.
        RunStopped: it was waited for and failed or was cancelled.
    """
    running = noted(dataset)
    if running is None:
        return
    what = f"{running.name}: {running.place}"
    try:
        result = elsewhere.find(running.place)
        state = result.state
    except JobNotFound as error:
        if attach:
            raise RunLocked(f"cannot attach to {running.place}: {error}") from None
        out.print(
            f"{what} was left and cannot be asked how it is ({error}). If it goes on, work may be "
            "done twice, but nothing is committed twice.",
            markup=False,
        )
    else:
        if PipelineState.is_terminal(state):
            why = stop.told(dataset, running.plan)
            out.print(f"{what} has ended: {state}{f': {why}' if why else ''}", markup=False)
        elif not attach:
            where = f" ({running.place.url})" if running.place.url else ""
            raise RunLocked(
                f"the run {dataset.run} has a job that is not ended, {what}{where}: wait for it "
                "and go on with --attach, or cancel it there"
            )
        else:
            out.print(f"attached to {what}", markup=False)
            try:
                watch(result, session)
            finally:
                if _has_ended(result):
                    forget(dataset, running)
    made = Dataset(dataset.run, running.iteration)
    work.clear(made, running.files, running.variant, running.plan)
    forget(dataset, running)
