"""A job from its command line to its exit code: read prompts, run stages, sum up."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from inspection.summary import print_summary
from pipelines.execution import intake, interrupt, stage
from pipelines.execution.intake import InputError
from pipelines.execution.options import DEMO_PROMPTS, DEMO_RUN, Job, parse
from pipelines.execution.progress import progress
from pipelines.execution.stage import RunStopped, Stage
from schemas.views import connect
from spar_core.dataset import RunLocked, SettingsDiffer
from spar_core.engine import host as engine_host
from spar_core.engine.host import EngineSpec
from spar_core.engine.protocol import EngineGone
from spar_core.engine.served import only_model, served_models
from terminal.exits import (
    BAD_USAGE,
    DONE,
    OTHER_SETTINGS,
    STOPPED,
    WITH_FAILURES,
    UsageError,
    complain,
)

_WEAK_MODEL = """\
The bundled model (SmolLM2-135M) is real but weak: its judgements are near chance and its \
refinements poor. It shows that the machinery works, not what the method does. For pairs worth \
training on use a model of 8B or more, e.g. on a GPU of 24 GB or more:
  python -m pipelines.refine --run runs/mine --prompts my.jsonl --engine vllm --model FOLDER"""


def main(name: str, description: str, stages: Sequence[Stage], argv: Sequence[str] | None) -> int:
    """Run a job and say in one line what went wrong, if anything did."""
    job: Job | None = None
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    try:
        job = parse(name, description, argv)
        if stages[0].name != "sample" and not job.dataset.entries(intake.STAGE):
            raise InputError(
                f"no prompts in iteration {job.dataset.iteration} of the run {job.dataset.run}: "
                "python -m pipelines.sample reads them"
            )
        with interrupt.noticed(), job.dataset.lock():
            return run(stages, job, out, err)
    except (UsageError, InputError, RunLocked) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        advice = "give the settings it was begun with, or another --run or --iteration"
        return complain(err, f"{error}; {advice}", OTHER_SETTINGS)
    except (RunStopped, EngineGone) as error:
        advice = "Nothing that is done is lost: run the same command again to go on."
        return complain(err, f"stopped: {error}\n{advice}", STOPPED)
    except KeyboardInterrupt:
        return complain(err, "interrupted: run the same command again to go on", STOPPED)
    except OSError as error:
        where = f"cannot read or write the run {job.dataset.run}" if job else "cannot go on"
        return complain(err, f"{where}: {error}", STOPPED)
    finally:
        engine_host.close()


def run(stages: Sequence[Stage], job: Job, out: Console, err: Console) -> int:
    """Run the stages of a job whose run is locked; returns the exit code."""
    job = _with_models(job)
    scope = None
    if stages[0].name == "sample":
        scope = _read_prompts(job, out)
    job.dataset.sweep()
    if scope is None:
        scope = _first_prompts(job)
    for each in stages:
        _run_stage(each, scope, job, out, err)
    failed = _failures(job)
    print_summary(job.dataset.run, out, iteration=job.dataset.iteration)
    if job.uses_bundled_model and any(each.engine for each in stages):
        out.print(f"\n{_WEAK_MODEL}", markup=False)
    run, python = shlex.quote(job.dataset.run), _python()
    out.print(
        f"\nNext: {python} -m inspection.sql --run {run} --sql "
        '"select similarity, rejected[1].content, chosen[1].content from pairs"',
        markup=False,
    )
    if failed:
        out.print(
            f"{failed} items could not be done; why: {python} -m inspection.sql --run {run} "
            '--sql "select stage, key, error, message from failures"',
            markup=False,
        )
    return WITH_FAILURES if failed else DONE


def _with_models(job: Job) -> Job:
    """The job with the model's name filled in where a server is left to say it."""

    def named(spec: EngineSpec) -> EngineSpec:
        if not spec.url or spec.model:
            return spec
        return dataclasses.replace(
            spec, model=only_model(spec.url, asyncio.run(served_models(spec.url)))
        )

    settings = job.settings
    actor = named(settings.actor)
    refiner = actor if settings.refiner == settings.actor else named(settings.refiner)
    return dataclasses.replace(
        job, settings=dataclasses.replace(settings, actor=actor, refiner=refiner)
    )


def _read_prompts(job: Job, out: Console) -> Sequence[str] | None:
    """Read the prompts into the run; returns the ids that a limit leaves, None for no limit."""
    files = job.prompts
    if not files:
        with connect(job.dataset.run, ("prompts",)) as connection:
            query = "select distinct iteration from prompts"
            held = {iteration for (iteration,) in connection.sql(query).fetchall()}
        if held and job.dataset.iteration not in held:
            raise InputError(
                f"iteration {job.dataset.iteration} of {job.dataset.run} has no prompts yet: "
                "give --prompts"
            )
        if held and not job.is_demo:
            return None
        files = str(DEMO_PROMPTS)
    read = intake.ingest(job.dataset, files, job.limit)
    said = (
        f"prompts: {read.prompts} from {files}"
        if job.prompts
        else f"prompts: {read.prompts} of the bundled ones"
    )
    if read.added < read.prompts:
        said += f", {read.prompts - read.added} of them in the run already"
    if read.failures:
        said += f"; {read.failures} rows left out (see `failures`)"
    out.print(said, markup=False)
    if job.is_demo and read.more:
        out.print(
            "This is a demonstration: few prompts and short answers, so that two cores end in "
            f"about five minutes.\nAll bundled prompts: {_python()} -m pipelines.refine --run "
            f"{DEMO_RUN} --limit 0",
            markup=False,
        )
    return read.ids if job.limit else None


def _first_prompts(job: Job) -> Sequence[str] | None:
    """The ids of the run's prompts that a limit leaves, None for no limit."""
    if not job.limit:
        return None
    with connect(job.dataset.run, ("prompts",)) as connection:
        query = "select prompt_id from prompts where iteration = ? order by position limit ?"
        rows = connection.execute(query, [job.dataset.iteration, job.limit]).fetchall()
    return [prompt_id for (prompt_id,) in rows]


def _run_stage(
    each: Stage, scope: Sequence[str] | None, job: Job, out: Console, err: Console
) -> None:
    if interrupt.is_pressed():
        raise RunStopped(stage.INTERRUPTED)
    dataset, settings = job.dataset, job.settings
    if dataset.entries(each.name):
        dataset.claim_settings(each.name, settings.of_stage(each.name))
    planned = stage.plan(each, dataset, scope, settings)
    done = planned.total - planned.pending
    if not planned.pending:
        out.print(f"{each.name}: all {planned.total} {each.noun} are done", markup=False)
        return
    dataset.claim_settings(each.name, settings.of_stage(each.name))
    began = time.monotonic()
    with progress(err, each.name, each.noun, done, planned.total):
        stage.run(each, planned.works, dataset, settings, job.beam)
    stage.clear_work(dataset, each.name)
    if not any(entry.retry for entry in dataset.entries(each.name).values()):
        stage.clear_journal(dataset, each.name)
    took = time.monotonic() - began
    before = f" ({done} were done before)" if done else ""
    out.print(f"{each.name}: {planned.pending} {each.noun} in {took:.0f} s{before}", markup=False)


def _python() -> str:
    """How to call this Python from here."""
    if shutil.which("python") == sys.executable:
        return "python"
    return (
        os.path.relpath(sys.executable) if Path.cwd() in Path(sys.executable).parents else "python"
    )


def _failures(job: Job) -> int:
    with connect(job.dataset.run, ("failures",)) as connection:
        query = "select count(*) from failures where iteration = ?"
        return int(connection.execute(query, [job.dataset.iteration]).fetchall()[0][0])


logging.getLogger("apache_beam").addHandler(logging.NullHandler())
