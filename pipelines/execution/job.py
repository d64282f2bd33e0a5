"""A job from what was asked for to its exit code: read prompts, run stages, sum up."""

from __future__ import annotations

import copy
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

from inspection.judge_faults import judge_faults
from inspection.summary import print_summary
from pipelines.execution import elsewhere, lease, running, stop, work
from pipelines.execution.command import Own
from pipelines.execution.intakes import intake_of, rows
from pipelines.execution.job_note import Running
from pipelines.execution.journal import clear_journal
from pipelines.execution.launch import do_here, launch
from pipelines.execution.lease import Hold, LeaseLost, RunLocked
from pipelines.execution.next_step import following
from pipelines.execution.options import Job
from pipelines.execution.parts import Claimed, asked_roles, claim, parts, together, with_models
from pipelines.execution.plan import Part, Plan, committed, pending, plan
from pipelines.execution.progress import progress
from pipelines.execution.round_plan import ROUND, plan_round
from pipelines.execution.round_plan import pending as pending_prompts
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.execution.workers import check_workers
from schemas.table import MAIN
from spar_core.dataset import SWEEP_AGE_S
from spar_core.engine.preflight import preflight
from spar_core.engine.protocol import EngineGone
from spar_core.engine.spec import EngineSpec, model_path
from spar_core.filters.library import NoLibrary
from spar_core.input_files import STDIN
from spar_core.merging import WORTH_IT, merge
from spar_core.stages.drawing import JUDGE, longest
from spar_core.variants import SettingsDiffer
from terminal import trail
from terminal.console import Console
from terminal.exits import (
    BAD_USAGE,
    DONE,
    OTHER_SETTINGS,
    STOPPED,
    WITH_FAILURES,
    InputError,
    UsageError,
    complain,
)
from terminal.interpreter import python

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


def run_job(job: Job, own: Own | None) -> int:
    """Run a job that was understood, and say in one line what went wrong, if anything did."""
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    try:
        _check_runner(job, err)
        with (
            _session(job) as session,
            session.noticing(),
            lease.held(job.dataset, session.press) as hold,
        ):
            return run(job, session, hold, out, err, own)
    except (UsageError, InputError, RunLocked, NoLibrary) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        advice = (
            "give the settings it was begun with, another --variant to have both side by side, "
            "or another --run or --iteration"
        )
        return complain(err, f"{error}; {advice}", OTHER_SETTINGS)
    except (RunStopped, EngineGone, LeaseLost) as error:
        advice = "Nothing that is done is lost: run the same command again to go on."
        return complain(err, f"stopped: {error}\n{advice}", STOPPED)
    except KeyboardInterrupt:
        return complain(err, "interrupted: run the same command again to go on", STOPPED)
    except OSError as error:
        where = f"cannot read or write the run {job.dataset.run}"
        return complain(err, f"{where}: {error}", STOPPED)


@contextmanager
def _session(job: Job) -> Iterator[Session]:
    log = "" if "://" in job.dataset.run else os.path.join(job.dataset.run, "engine.log")
    session = Session(log)
    try:
        yield session
    finally:
        session.close()


def run(
    job: Job, session: Session, hold: Hold, out: Console, err: Console, own: Own | None = None
) -> int:
    """Run the stages of a job whose run is held; returns the exit code."""
    running.settle(job.dataset, session, out, attach=job.options.attach)
    stop.clear(job.dataset)
    read = own.read if own else intake_of(job.stages)
    job, scope = read(job, out)
    job = with_models(job)
    hold.check()
    job.dataset.sweep(0.0 if _is_alone(job) else SWEEP_AGE_S)
    check = cache(partial(_check_engines, job, out))  # once, before the first work of the job
    claimed = parts(job, scope)
    at_once = together(job, claimed)
    alone = [[each] for each in claimed[len(at_once) :]]
    do = partial(_run, job, session, hold, check, out, err)
    left = 0
    rounds = [some for some in [at_once, *alone] if some]
    for number, some in enumerate(rounds, 1):
        still = do(some)
        if still is None:
            _say_left(job, rounds[number:], out)
            return DONE
        left += still
    if left:
        raise RunStopped(f"{left} items are still pending")
    failed = rows(job, "failures")
    if own:
        own.show(job, out)
    else:
        print_summary(job.dataset.run, out, iteration=job.dataset.iteration)
    _say_what_next(job, failed, out, own)
    faults = _judge_faults(job, claimed)
    for fault in faults:
        err.print(f"warning: {fault}", markup=False, soft_wrap=True)
    return WITH_FAILURES if failed or faults else DONE


def _judge_faults(job: Job, claimed: Sequence[Claimed]) -> list[str]:
    """What makes the votes of this job's judge useless; nothing where it has no judge."""
    voted = [each.part for each in claimed if "judgements" in each.part.stage.writes]
    return [
        fault
        for part in voted
        for fault in judge_faults(
            job.dataset.run,
            job.dataset.iteration,
            part.variant,
            JUDGE.read(job.options).temperature,
        )
    ]


def _is_alone(job: Job) -> bool:
    """Whether nobody else can be writing: the process that holds the run does all the work."""
    return job.is_in_process and job.dataset.is_local


def _check_runner(job: Job, err: Console) -> None:
    """Look at what a runner elsewhere cannot do.

    Raises:
        UsageError: it cannot be left alone, or its workers cannot see what they need, or the
            prompts come from standard input, which cannot be read again where the job is resumed.
    """
    if job.files == STDIN and not job.is_in_process:
        raise UsageError(
            f"--{job.stages[0].intake} -: standard input is read where the pipeline runs in this "
            "process (DirectRunner): write it to a file that the next command can read, too"
        )
    if job.options.detach:
        elsewhere.check_detaching(job.beam)
    local = [f"--run {job.dataset.run}"] if job.dataset.is_local else []
    asked = {job.engines[role] for role in asked_roles(job)}
    check_workers(asked, job.beam)
    models = {str(path) for spec in asked if spec.model and (path := model_path(spec))}
    local += [f"--model {path}" for path in sorted(models)]
    if warning := elsewhere.check_paths(job.beam, local):
        err.print(f"warning: {warning}", markup=False, soft_wrap=True)


def _say_left(job: Job, follows: Sequence[Sequence[Claimed]], out: Console) -> None:
    """Say how a job that was left goes on."""
    names = ", ".join(each.part.stage.name for some in follows for each in some)
    then = f"; {names} come after it" if names else ""
    out.print(
        f"The job goes on by itself{then}. When it has ended, run the same command again to go on; "
        f"--attach waits for it. How it is: {python()} -m pipelines.status --run "
        f"{shlex.quote(job.dataset.run)}",
        markup=False,
    )


def _say_what_next(job: Job, failed: int, out: Console, own: Own | None) -> None:
    last = job.stages[-1].writes[-1]
    if (
        last not in ("answers", "evaluations")
        and job.uses_bundled_model
        and any(each.roles for each in job.stages)
    ):
        adapted = any(spec.adapter for spec in job.engines.values())
        out.print(f"\n{_DEMO_REFINER if adapted else _WEAK_MODEL}", markup=False)
    if said := own.following(job) if own else following(job):
        out.print(f"\n{said}", markup=False)
    if failed:
        why = trail.failures(job.dataset.run)
        out.print(f"{failed} items could not be done; why: {why}", markup=False)


def _run(
    job: Job,
    session: Session,
    hold: Hold,
    check: Callable[[], None],
    out: Console,
    err: Console,
    claimed: Sequence[Claimed],
) -> int | None:
    """Do what is pending of a stage, or of all prompts in several; returns how much still is.

    None where it was left to a runner elsewhere.

    Args:
        check: looks at the engines.
    """
    if session.is_pressed:
        raise RunStopped(INTERRUPTED)
    stages, dataset = [each.part for each in claimed], job.dataset
    first, is_round = stages[0], len(stages) > 1
    files = ROUND if is_round else first.stage.name
    noun = "prompts" if is_round else first.stage.noun
    hold.check()
    if _is_alone(job):
        work.clear(dataset, files, first.variant)  # what a killed driver left
    planned = (
        plan_round(stages, dataset, session.name)
        if is_round
        else plan(first, dataset, session.name)
    )
    done = planned.total - planned.pending
    name = ", ".join(part.stage.name for part in stages)
    name += "" if first.variant == MAIN else f" ({first.variant})"
    specs = {role: job.engines[role] for part in stages for role in part.stage.roles}
    if planned.pending and specs:
        check()
    for each in claimed if planned.total else ():
        claim(job, each)
    if not planned.pending:
        for part in stages:
            clear_journal(dataset, part)  # a killed driver may have left it
        if planned.total:
            out.print(f"{name}: all {planned.total} {noun} are done", markup=False)
        return 0
    began = time.monotonic()
    options = elsewhere.for_a_job(job.beam, f"spar-{files}-{session.name[:8]}".replace("_", "-"))
    note = partial(
        Running,
        name=name,
        files=files,
        variant=first.variant,
        iteration=dataset.iteration,
        plan=session.name,
    )
    with (
        running.noting(dataset, options, note, out, leaves=job.options.detach) as told,
        progress(
            err,
            files,
            noun,
            done,
            planned.total,
            session.engines.meter,
            is_here=job.is_metered,
        ),
    ):
        given = copy.deepcopy(options)  # runners write into them
        if not specs and elsewhere.is_one_thread(options):
            do_here(first, planned.works, dataset, session)
        elif launch(stages, planned.works, dataset, specs, given, session, told) is None:
            return None
    work.clear(dataset, files, first.variant, session.name)
    left = _left(job, stages, planned)
    for part in () if left else stages:
        entries = dataset.entries(part.stage.name, part.variant).values()
        if not any(entry.retry for entry in entries):
            clear_journal(dataset, part)
        if not part.stage.replaces:
            merge(dataset, part.stage.name, part.variant, WORTH_IT)
    took = time.monotonic() - began
    before = f" ({done} were done before)" if done else ""
    still = f"; {left} are still pending" if left else ""
    out.print(
        f"{name}: {planned.pending - left} {noun} in {took:.0f} s{before}{still}", markup=False
    )
    return left


def _left(job: Job, stages: Sequence[Part], planned: Plan) -> int:
    """How many items, or prompts of a round, are still pending after a job."""
    first, dataset = stages[0], job.dataset
    if len(stages) > 1:
        return pending_prompts(stages, dataset)
    if _is_alone(job):  # nobody else commits: every commit since planning is of a planned item
        return planned.pending - (committed(first, dataset) - planned.committed)
    return pending(first, dataset)


def _check_engines(job: Job, out: Console) -> None:
    """Find what is wrong with the engines before anything is asked of them, and say what is odd.

    Raises:
        EngineGone: with what and the remedy.
    """
    remarks: list[str] = []
    most: dict[EngineSpec, int] = {}
    for role in asked_roles(job):
        spec = job.engines[role]
        most[spec] = max(most.get(spec, 0), longest(job.options, role))
    for spec, tokens in most.items():
        remarks += preflight(spec, tokens, is_here=job.is_in_process)
    for remark in dict.fromkeys(remarks):
        out.print(f"note: {remark}", markup=False, soft_wrap=True)


logging.getLogger("apache_beam").addHandler(logging.NullHandler())
