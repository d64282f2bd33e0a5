"""The iterations of a run: rounds, trainings and evaluations, one after the other."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from pipelines import bootstrapping, evaluating
from pipelines.execution import foreign_folder, intake, lease
from pipelines.execution.holding_out import hold_out
from pipelines.execution.options import DEMO_PROMPTS
from pipelines.execution.parts import depends_on, settings_of
from pipelines.execution.session import Session
from pipelines.iterate_options import Loop
from pipelines.iterations import ACTOR, FIRST, ROLES, Record, roles, table
from pipelines.steps import Steps
from schemas import own_evaluations
from schemas.views import connect
from spar_core import variants
from spar_core.dataset import Dataset
from spar_core.prompt_columns import COLUMNS, columns_of
from spar_core.variants import SettingsDiffer
from terminal import trail
from terminal.console import Console
from terminal.exits import DONE, WITH_FAILURES, InputError


def iterate(loop: Loop, out: Console) -> int:
    """Do what is left of the iterations, alone; returns the exit code."""
    if not loop.job.options.force:
        foreign_folder.check(loop.job.dataset)
    session = Session()
    # Each round locks the run itself. A child that holds this lock too keeps it while it lives.
    with session.noticing(), lease.folder_locked(loop.models.folder, loop.run) as lock:
        return _run(Steps(loop, session, lock, out))


def _run(steps: Steps) -> int:
    """Do what is left of the iterations; returns the exit code."""
    loop, out = steps.loop, steps.out
    done = [loop.models.record(t) for t in range(1, loop.iterations + 1)]
    _check_settings(loop, done)
    if all(record.is_done for record in done):
        out.print(
            f"all {loop.iterations} iterations are done; for more give a higher --iterations, and "
            "new prompts",
            markup=False,
        )
    else:
        if not done[0].refined:
            _check_trainings(steps)
        # Files of prompts are looked at before any work; evolved ones have to be there first.
        if loop.bootstrap and not loop.job.files:
            bootstrapping.begin(steps, loop.bootstrap)
        _deal(loop, done, out)
        if loop.bootstrap:
            bootstrapping.begin(steps, loop.bootstrap)
    last = _iterations(steps)
    out.print()
    if loop.bootstrap:
        out.print(bootstrapping.table(loop))
    out.print(table(loop.run, loop.models, last))
    if loop.evaluating:
        out.print(evaluating.table(loop, loop.evaluating, last + 1))
    for role in ROLES:
        out.print(f"{role.name}: {loop.models.of(role, last + 1)}", markup=False)
    out.print(f"\n{_following(loop, last + 1)}", markup=False)
    return WITH_FAILURES if _failures(loop) else DONE


def _following(loop: Loop, last: int) -> str:
    """Return the line with the next step: the models are compared, or the last actor evaluated."""
    if loop.evaluating:
        return trail.following(trail.compare(loop.run))
    data = [] if own_evaluations.read(loop.run).held_out else ["--data", trail.FILES]
    serve = loop.job.options.serve
    engine = ["--engine", loop.models.engine, *(["--serve", serve] if serve else [])]
    engine += ["--model", loop.models.of(ACTOR, last)]
    return trail.following(trail.evaluate(loop.run, last, engine, data))


def _iterations(steps: Steps) -> int:
    """Do the iterations, and evaluate the models that begin each and the last ones.

    Returns:
        How many are done: all, unless an actor got worse and that is to be the end. It is not
        where a loop went on from such an actor before.
    """
    loop = steps.loop
    for iteration in range(1, loop.iterations + 2):
        if how := loop.evaluating:
            evaluating.evaluate(steps, how, iteration)
            went_on = loop.models.record(iteration).is_done
            if how.stops and not went_on and evaluating.is_worse(steps, how, iteration):
                return iteration - 1
        if iteration <= loop.iterations:
            _iterate(steps, iteration)
    return loop.iterations


def _check_settings(loop: Loop, records: Sequence[Record]) -> None:
    """Refuse other settings than those of what is done; what is in progress checks its own."""
    bootstrapping.check(loop)
    if records[0].refined:
        _claim(loop)
    for iteration, record in enumerate([loop.models.record(0), *records]):
        for role in roles(iteration):
            held, wanted = record.trained.get(role.name), loop.arguments[role]
            if held is not None and held != wanted:
                raise SettingsDiffer(
                    f"the {role.name} of iteration {iteration + 1} in {loop.run} was made with "
                    f"other settings ({role.training}: {shlex.join(held)!r} -> "
                    f"{shlex.join(wanted)!r})"
                )


def _check_trainings(steps: Steps) -> None:
    """Have the trainings look at their arguments, hours before they are needed."""
    loop = steps.loop
    for role in (*(FIRST if loop.bootstrap else ()), *ROLES):
        if arguments := loop.arguments[role]:
            given = ["--data", loop.run, "--model", steps.first_checkpoint(role)]
            given += ["--output", str(loop.models.made(role, 1)), "--check", *role.given]
            command = [sys.executable, "-m", role.training, *given, *arguments]
            steps.run(command, f"{role.training} --check")


def _claim(loop: Loop) -> None:
    """Later iterations go on with the models and the settings of the first round."""
    job = loop.job
    claimed: dict[str, Any] = {}
    for stage in job.stages:
        if stage.roles:
            claimed |= depends_on(job, stage, settings_of(job, stage))
    variants.hold(job.dataset, "iterate", claimed)


def _deal(loop: Loop, records: Sequence[Record], out: Console) -> None:
    """Deal prompts to the iterations whose data rounds are not done."""
    ahead = [iteration for iteration, record in enumerate(records, 1) if not record.refined]
    files = loop.job.files
    if not ahead:
        return
    if loop.bootstrap and not files:
        files = bootstrapping.others(loop, out)
    if not files:
        with connect(loop.run, ("prompts",)) as connection:
            query = "select distinct iteration from prompts"
            held = {iteration for (iteration,) in connection.sql(query).fetchall()}
        for iteration in ahead if held else ():
            if iteration not in held:
                raise InputError(
                    f"iteration {iteration} of {loop.run} has no prompts yet: give --prompts"
                )
        if held:
            return
        files = str(DEMO_PROMPTS)
    with lease.held(loop.job.dataset):
        benchmarks = tuple(loop.job.options.decontaminate)
        columns = columns_of(loop.job.options.prompt_column, COLUMNS)
        if count := loop.job.options.hold_out:
            hold_out(Dataset(loop.run, ahead[0]), files, count, columns)
        dealt = intake.deal(loop.run, ahead, files, loop.job.limit, benchmarks, columns)
    said = f"prompts: {dealt.prompts} from {files}, dealt to {loop.iterations} iterations"
    if dealt.added < dealt.prompts:
        said += f"; {dealt.prompts - dealt.added} were in the run already"
    out.print(said + dealt.remarks(), markup=False)


def _iterate(steps: Steps, iteration: int) -> None:
    record = steps.loop.models.record(iteration)
    if not record.refined:
        with steps.noted(iteration, record):
            _refine(steps, iteration)
            record.refined = True
    steps.train(iteration, record)


def _refine(steps: Steps, iteration: int) -> None:
    actor, refiner = (steps.model(role, iteration) for role in ROLES)
    steps.announce(iteration, f"a data round with actor {actor}, refiner {refiner}")
    given = ["--iteration", str(iteration), "--actor_model", actor, "--refiner_model", refiner]
    command = [sys.executable, "-m", "pipelines.refine", *steps.loop.options, *given]
    steps.run(command, f"the data round of iteration {iteration}")
    if iteration == 1:
        _claim(steps.loop)


def _failures(loop: Loop) -> int:
    with connect(loop.run, ("failures",)) as connection:
        query = "select count(*) from failures where iteration <= ?"
        last = loop.iterations + (loop.evaluating is not None)
        return int(connection.execute(query, [last]).fetchall()[0][0])
