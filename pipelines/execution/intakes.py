"""How a job reads its input into its run: prompts, seeds, or what the run holds already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.execution import intake, seed_intake
from pipelines.execution.holding_out import hold_out
from pipelines.execution.options import (
    DEMO_PROMPTS,
    DEMO_RUN,
    Job,
    Stages,
    demo_settings,
    reads_prompts,
    reads_seeds,
)
from schemas.views import connect
from spar_core.input_files import find
from spar_core.prompt_columns import COLUMNS, SEED_COLUMNS, columns_of
from terminal.console import Console
from terminal.exits import InputError
from terminal.interpreter import python

Intake = Callable[[Job, Console], tuple[Job, Sequence[str] | None]]
"""Reads a job's input into its run, and says what it came to.

Returns the job, with the stages that are left to do, and the ids of what it is to do; None for all.
"""


def intake_of(stages: Stages) -> Intake:
    """How a job of these stages reads its input."""
    if reads_seeds(stages):
        return _seeds
    return _prompts if reads_prompts(stages) else _held


def check_input(job: Job) -> None:
    """See that a job has input, before anything is loaded or written for it.

    Raises:
        InputError: files on this machine's disk are not there, or the job reads none and its
            iteration holds no prompts.
    """
    if job.files and "://" not in job.files:
        find(job.files)
    if intake_of(job.stages) is _held and not rows(job, "prompts"):
        raise InputError(
            f"no prompts in iteration {job.dataset.iteration} of the run {job.dataset.run}: "
            "python -m pipelines.sample reads them"
        )


def rows(job: Job, table: str) -> int:
    """How many rows of a table the iteration has."""
    entries = job.dataset.entries().values()
    return sum(entry.files[table].rows for entry in entries if table in entry.files)


def _seeds(job: Job, out: Console) -> tuple[Job, Sequence[str] | None]:
    if not job.files:
        with connect(job.dataset.run, ("seeds",)) as connection:
            query = "select seed_id from seeds where iteration = ? order by position limit ?"
            found = connection.execute(query, [job.dataset.iteration, job.limit]).fetchall()
        if not found:
            raise InputError(f"no seeds in {job.dataset.run}: give --seeds FILES")
        return job, [key for (key,) in found] if job.limit else None
    columns = columns_of(job.options.prompt_column, SEED_COLUMNS)
    read = seed_intake.ingest(job.dataset, job.files, job.limit, job.split, columns)
    said = f"seeds: {read.seeds} from {job.files}"
    if read.added < read.seeds:
        said += f", {read.seeds - read.added} of them in the run already"
    said += read.column
    if read.equal:
        said += f"; {read.equal} rows repeat one"
    if read.failures:
        said += f"; {read.failures} rows left out (see `failures`)"
    out.print(said, markup=False)
    return job, read.ids if job.limit else None


def _prompts(job: Job, out: Console) -> tuple[Job, Sequence[str] | None]:
    files = job.files
    if not files:
        with connect(job.dataset.run, ("prompts",)) as connection:
            query = "select distinct iteration from prompts"
            held = {iteration for (iteration,) in connection.sql(query).fetchall()}
        if (held or rows(job, "drafts")) and job.dataset.iteration not in held:
            raise InputError(
                f"iteration {job.dataset.iteration} of {job.dataset.run} has no prompts yet: "
                "give --prompts"
            )
        if held and not job.is_demo:
            return _held(job, out)
        if not job.has_demo:
            raise InputError(
                f"no prompts in iteration {job.dataset.iteration} of {job.dataset.run}: give "
                "--prompts, or have python -m pipelines.evolve make some"
            )
        files = str(DEMO_PROMPTS)
    benchmarks = tuple(job.options.decontaminate)
    columns = columns_of(job.options.prompt_column, COLUMNS)
    if job.options.hold_out:
        hold_out(job.dataset, files, job.options.hold_out, columns)
    read = intake.ingest(job.dataset, files, job.limit, job.split, benchmarks, columns)
    said = (
        f"prompts: {read.prompts} from {files}"
        if job.files
        else f"prompts: {read.prompts} of the bundled ones"
    )
    if read.added < read.prompts:
        said += f", {read.prompts - read.added} of them in the run already"
    out.print(said + read.remarks(), markup=False)
    if job.is_demo and read.more:
        out.print(
            "This is a demonstration. So that two cores end soon it takes few prompts and has, in "
            f"place of the paper's settings, {demo_settings(job.options)}.\nAll bundled prompts: "
            f"{python()} -m pipelines.refine --run {DEMO_RUN} --limit 0",
            markup=False,
        )
    return job, read.ids if job.limit else None


def _held(job: Job, _: Console) -> tuple[Job, Sequence[str] | None]:
    """The run's prompts: nothing is read."""
    if not job.limit:
        return job, None
    with connect(job.dataset.run, ("prompts",)) as connection:
        query = (
            "select prompt_id from prompts where iteration = ? and split = ? "
            "order by position limit ?"
        )
        bound = [job.dataset.iteration, job.split, job.limit]
        found = connection.execute(query, bound).fetchall()
    return job, [prompt_id for (prompt_id,) in found]
