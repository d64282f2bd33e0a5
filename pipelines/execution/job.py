"""A job from its command line to its exit code: read prompts, run stages, sum up."""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from rich.console import Console

from inspection.summary import print_summary
from pipelines.execution import intake, lease, seed_intake, work
from pipelines.execution.inference import INTERRUPTED, RunStopped
from pipelines.execution.journal import clear_journal
from pipelines.execution.launch import launch
from pipelines.execution.lease import RunLocked
from pipelines.execution.options import (
    DEMO_PROMPTS,
    DEMO_RUN,
    Job,
    Stages,
    parse,
    reads_prompts,
    reads_seeds,
)
from pipelines.execution.parts import Claimed, claim, parts
from pipelines.execution.plan import pending, plan
from pipelines.execution.progress import progress
from pipelines.execution.prompt_files import InputError
from pipelines.execution.session import Session
from schemas.table import MAIN
from schemas.views import connect
from spar_core.dataset import SWEEP_AGE_S
from spar_core.engine.preflight import preflight, resolve
from spar_core.engine.protocol import EngineGone
from spar_core.filters.library import NoLibrary
from spar_core.stage import roles_of
from spar_core.stages.drawing import longest
from spar_core.variants import SettingsDiffer
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


_DEMO_REFINER = """\
The actor here is a small model (SmolLM2-135M); judge and refiner are the same with an adapter \
that was taught to check and mend seven kinds of constraints on short answers. It shows what the \
method does, on such prompts alone. For prompts of your own use a model of 8B or more, e.g. on a \
GPU of 24 GB or more:
  python -m pipelines.refine --run runs/mine --prompts my.jsonl --engine vllm --model FOLDER"""

_LOOK = (
    "inspection.sql --run {run} --sql "
    '"select similarity, rejected[1].content, chosen[1].content from pairs"'
)
_WHY = 'inspection.sql --run {run} --sql "select seed, dropped, why, near from evolutions"'
_NEXT = {
    "prompts": "pipelines.refine --run {run}",
    "answers": "inspection.sql --run {run} --sql "
    '"select prompt, response, passed from answers join prompts on prompt_id = item_id"',
    "evaluations": "inspection.compare --runs {run}",
    "sft_refiner": "training.sft --task refiner --data {run} --model FOLDER --output refiner-1",
}
"""What to do next, by the last table that a job has written."""


@dataclasses.dataclass(frozen=True)
class Own:
    """What a job does its own way that is not about prompts or seeds.

    add: adds its options. read: reads its input into the run; returns the job, with the stages
    that are left to do, and the ids of what it is to do. show: says what came out.
    """

    add: Callable[[ArgumentParser], None]
    read: Callable[[Job, Console], tuple[Job, Sequence[str]]]
    show: Callable[[Job, Console], None]


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
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    try:
        add = own.add if own else None
        job = parse(
            name, description, methods, argv, choice=choice, default_run=default_run, add=add
        )
        if not own and not _reads(job) and not _rows(job, "prompts"):
            raise InputError(
                f"no prompts in iteration {job.dataset.iteration} of the run {job.dataset.run}: "
                "python -m pipelines.sample reads them"
            )
        with _session(job) as session, session.noticing(), lease.held(job.dataset):
            return run(job, session, out, err, own)
    except (UsageError, InputError, RunLocked, NoLibrary) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        advice = (
            "give the settings it was begun with, another --variant to have both side by side, "
            "or another --run or --iteration"
        )
        return complain(err, f"{error}; {advice}", OTHER_SETTINGS)
    except (RunStopped, EngineGone) as error:
        advice = "Nothing that is done is lost: run the same command again to go on."
        return complain(err, f"stopped: {error}\n{advice}", STOPPED)
    except KeyboardInterrupt:
        return complain(err, "interrupted: run the same command again to go on", STOPPED)
    except OSError as error:
        where = f"cannot read or write the run {job.dataset.run}" if job else "cannot go on"
        return complain(err, f"{where}: {error}", STOPPED)


@contextmanager
def _session(job: Job) -> Iterator[Session]:
    log = "" if "://" in job.dataset.run else os.path.join(job.dataset.run, "engine.log")
    session = Session(log)
    try:
        yield session
    finally:
        session.close()


def run(job: Job, session: Session, out: Console, err: Console, own: Own | None = None) -> int:
    """Run the stages of a job whose run is held; returns the exit code."""
    scope: Sequence[str] | None = None
    if own:
        job, scope = own.read(job, out)
        asked = roles_of(job.stages)
        specs = {role: spec for role, spec in job.engines.items() if role in asked}
        job = dataclasses.replace(job, engines=specs)
    job = _with_models(job)
    if not own and _reads(job):
        scope = _read(job, out)
    job.dataset.sweep(0.0 if _is_alone(job) else SWEEP_AGE_S)
    if scope is None:
        scope = _first_prompts(job)
    check = cache(partial(_check_engines, job))  # once, before the first work of the job
    left = sum(_run_stage(job, each, session, check, out, err) for each in parts(job, scope))
    if left:
        raise RunStopped(f"{left} items are still pending")
    failed = _rows(job, "failures")
    if own:
        own.show(job, out)
    else:
        print_summary(job.dataset.run, out, iteration=job.dataset.iteration)
    _say_what_next(job, failed, out)
    return WITH_FAILURES if failed else DONE


def _reads(job: Job) -> bool:
    """Whether the job begins with files, of prompts or of seeds."""
    return reads_prompts(job.stages) or reads_seeds(job.stages)


def _is_alone(job: Job) -> bool:
    """Whether nobody else can be writing: the process that holds the run does all the work."""
    return job.is_in_process and job.dataset.is_local


def _say_what_next(job: Job, failed: int, out: Console) -> None:
    last = job.stages[-1].writes[-1]
    if (
        last not in ("answers", "evaluations")
        and job.uses_bundled_model
        and any(each.roles for each in job.stages)
    ):
        adapted = any(spec.adapter for spec in job.engines.values())
        out.print(f"\n{_DEMO_REFINER if adapted else _WEAK_MODEL}", markup=False)
    run, python = shlex.quote(job.dataset.run), _python()
    if last != intake.STAGE or _rows(job, "prompts"):
        out.print(f"\nNext: {python} -m {_NEXT.get(last, _LOOK).format(run=run)}", markup=False)
    else:
        why = f"{python} -m {_WHY.format(run=run)}"
        out.print(f"\nNo prompts: every seed was dropped; why: {why}", markup=False)
    if failed:
        out.print(
            f"{failed} items could not be done; why: {python} -m inspection.sql --run {run} "
            '--sql "select stage, key, error, message from failures"',
            markup=False,
        )


def _with_models(job: Job) -> Job:
    """The job with the models' names filled in where a server is left to say them."""
    named = {spec: resolve(spec) for spec in dict.fromkeys(job.engines.values())}
    engines = {role: named[spec] for role, spec in job.engines.items()}
    return dataclasses.replace(job, engines=engines)


def _read(job: Job, out: Console) -> Sequence[str] | None:
    """Read prompts or seeds into the run; returns the ids that a limit leaves, None for all."""
    return _read_seeds(job, out) if reads_seeds(job.stages) else _read_prompts(job, out)


def _read_seeds(job: Job, out: Console) -> Sequence[str] | None:
    if not job.files:
        with connect(job.dataset.run, ("seeds",)) as connection:
            query = "select seed_id from seeds where iteration = ? order by position limit ?"
            rows = connection.execute(query, [job.dataset.iteration, job.limit]).fetchall()
        if not rows:
            raise InputError(f"no seeds in {job.dataset.run}: give --seeds FILES")
        return [key for (key,) in rows] if job.limit else None
    read = seed_intake.ingest(job.dataset, job.files, job.limit, job.split)
    said = f"seeds: {read.seeds} from {job.files}"
    if read.added < read.seeds:
        said += f", {read.seeds - read.added} of them in the run already"
    if read.equal:
        said += f"; {read.equal} rows repeat one"
    if read.failures:
        said += f"; {read.failures} rows left out (see `failures`)"
    out.print(said, markup=False)
    return read.ids if job.limit else None


def _read_prompts(job: Job, out: Console) -> Sequence[str] | None:
    files = job.files
    if not files:
        with connect(job.dataset.run, ("prompts",)) as connection:
            query = "select distinct iteration from prompts"
            held = {iteration for (iteration,) in connection.sql(query).fetchall()}
        if (held or _rows(job, "drafts")) and job.dataset.iteration not in held:
            raise InputError(
                f"iteration {job.dataset.iteration} of {job.dataset.run} has no prompts yet: "
                "give --prompts"
            )
        if held and not job.is_demo:
            return None
        if not job.has_demo:
            raise InputError(
                f"no prompts in iteration {job.dataset.iteration} of {job.dataset.run}: give "
                "--prompts, or have python -m pipelines.evolve make some"
            )
        files = str(DEMO_PROMPTS)
    read = intake.ingest(job.dataset, files, job.limit, job.split)
    said = (
        f"prompts: {read.prompts} from {files}"
        if job.files
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
            f"about two minutes.\nAll bundled prompts: {_python()} -m pipelines.refine --run "
            f"{DEMO_RUN} --limit 0",
            markup=False,
        )
    return read.ids if job.limit else None


def _first_prompts(job: Job) -> Sequence[str] | None:
    """The ids of the run's prompts that a limit leaves, None for no limit."""
    if not job.limit:
        return None
    with connect(job.dataset.run, ("prompts",)) as connection:
        query = (
            "select prompt_id from prompts where iteration = ? and split = ? "
            "order by position limit ?"
        )
        bound = [job.dataset.iteration, job.split, job.limit]
        rows = connection.execute(query, bound).fetchall()
    return [prompt_id for (prompt_id,) in rows]


def _run_stage(
    job: Job,
    claimed: Claimed,
    session: Session,
    check: Callable[[], None],
    out: Console,
    err: Console,
) -> int:
    """Do what is pending of a stage, whose engines `check` looks at; returns how much still is."""
    if session.is_pressed:
        raise RunStopped(INTERRUPTED)
    part, dataset, stage = claimed.part, job.dataset, claimed.part.stage
    if _is_alone(job):
        work.clear(dataset, stage.name, part.variant)  # what a killed driver left
    planned = plan(part, dataset, session.name)
    done = planned.total - planned.pending
    name = stage.name if part.variant == MAIN else f"{stage.name} ({part.variant})"
    if not planned.pending:
        if planned.total:
            claim(job, claimed)
            out.print(f"{name}: all {planned.total} {stage.noun} are done", markup=False)
        return 0
    if stage.roles:
        check()
    claim(job, claimed)
    began = time.monotonic()
    specs = {role: job.engines[role] for role in stage.roles}
    meter = session.engines.meter
    with progress(err, stage.name, stage.noun, done, planned.total, meter):
        launch(part, planned.works, dataset, specs, job.beam, session)
    work.clear(dataset, stage.name, part.variant, session.name)
    entries = dataset.entries(stage.name, part.variant).values()
    left = pending(part, dataset)
    if not left and not any(entry.retry for entry in entries):
        clear_journal(dataset, part)
    took = time.monotonic() - began
    before = f" ({done} were done before)" if done else ""
    still = f"; {left} are still pending" if left else ""
    out.print(
        f"{name}: {planned.pending - left} {stage.noun} in {took:.0f} s{before}{still}",
        markup=False,
    )
    return left


def _check_engines(job: Job) -> None:
    """Find what is wrong with the engines before anything is asked of them.

    Raises:
        EngineGone: with what and the remedy.
    """
    for role, spec in job.engines.items():
        preflight(spec, longest(job.options, role))


def _python() -> str:
    """How to call this Python from here."""
    if shutil.which("python") == sys.executable:
        return "python"
    return (
        os.path.relpath(sys.executable) if Path.cwd() in Path(sys.executable).parents else "python"
    )


def _rows(job: Job, table: str) -> int:
    """How many rows of a table the iteration has."""
    with connect(job.dataset.run, (table,)) as connection:
        query = f"select count(*) from {table} where iteration = ?"
        return int(connection.execute(query, [job.dataset.iteration]).fetchall()[0][0])


logging.getLogger("apache_beam").addHandler(logging.NullHandler())
