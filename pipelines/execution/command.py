"""A job as a command: its line is understood, and its input looked for, before Beam is loaded."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.execution.beam_import import without_unused
from pipelines.execution.options import DEMO_RUN, Job, Stages, parse
from spar_core.filters.library import NoLibrary
from terminal.console import Console
from terminal.exits import BAD_USAGE, STOPPED, InputError, UsageError, complain

if TYPE_CHECKING:
    from pipelines.execution.intakes import Intake


@dataclass(frozen=True)
class Own:
    """What a job does its own way that is not about prompts or seeds.

    add: adds its options. check: refuses values of them that do not go together. read: reads its
    input. show: says what came out. following: returns the lines with the next step.
    """

    add: Callable[[ArgumentParser], None]
    check: Callable[[Job], None]
    read: Intake
    show: Callable[[Job, Console], None]
    following: Callable[[Job], str]


def main(
    name: str,
    description: str,
    methods: Mapping[str, Stages],
    argv: Sequence[str] | None,
    *,
    choice: str = "method",
    default_run: str = DEMO_RUN,
    own: Own | None = None,
) -> int:
    """Run a job and say in one line what went wrong, if anything did.

    Args:
        methods: the job's stages by method; the first is what it does unless one is named.
        choice: the option that names the method. default_run: "" where --run must be given.
    """
    job: Job | None = None
    err = Console(stderr=True, highlight=False)
    try:
        add = own.add if own else None
        job = parse(
            name, description, methods, argv, choice=choice, default_run=default_run, add=add
        )
        _check(job, own)
        # Nobody else is in a process that was started for the job; benchmarks read by pandas.
        is_ours = argv is None and own is None and not job.line.names_runner
        with without_unused() if is_ours else nullcontext():
            from pipelines.execution.job import run_job  # loads Beam

        return run_job(job, own)
    except (UsageError, InputError, NoLibrary) as error:
        return complain(err, str(error), BAD_USAGE)
    except KeyboardInterrupt:
        return complain(err, "interrupted: run the same command again to go on", STOPPED)
    except OSError as error:
        where = f"cannot read or write the run {job.dataset.run}" if job else "cannot go on"
        return complain(err, f"{where}: {error}", STOPPED)


def _check(job: Job, own: Own | None) -> None:
    if own:
        own.check(job)
    else:
        from pipelines.execution.intakes import check_input  # loads Arrow

        check_input(job)
    if not job.options.force:
        from pipelines.execution import foreign_folder  # loads fsspec

        foreign_folder.check(job.dataset)
