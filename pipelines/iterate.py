"""Iterate: the next actor and the next refiner, so many times: a data round, then DPO and RFT."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.execution import child, intake, lease
from pipelines.execution.inference import INTERRUPTED, RunStopped
from pipelines.execution.lease import RunLocked
from pipelines.execution.options import DEMO_PROMPTS
from pipelines.execution.parts import depends_on
from pipelines.execution.prompt_files import InputError
from pipelines.execution.session import Session
from pipelines.iterate_options import Loop, understand
from pipelines.iterations import ROLES, Models, Record, Role, rows, table
from schemas.table import MAIN, SPAR
from schemas.views import connect
from spar_core import variants
from spar_core.variants import SettingsDiffer
from terminal.exits import (
    BAD_USAGE,
    DONE,
    NOTHING_LEFT,
    OTHER_SETTINGS,
    STOPPED,
    WITH_FAILURES,
    UsageError,
    complain,
)


class ChildEnded(Exception):
    """A program that this job ran could not do its work; "" where it has said why itself."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


def main(argv: Sequence[str] | None = None) -> int:
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    again = "run the same command again to go on"
    try:
        loop = understand(__doc__ or "", sys.argv[1:] if argv is None else argv)
        session = Session()
        with session.noticing(), _locked(loop) as lock:
            return run(loop, session, lock, out)
    except (UsageError, InputError, RunLocked) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        advice = "give the settings it was begun with, or another --run"
        return complain(err, f"{error}; {advice}", OTHER_SETTINGS)
    except ChildEnded as error:
        return complain(err, str(error), error.code)
    except (RunStopped, KeyboardInterrupt) as error:
        return complain(err, f"{str(error) or INTERRUPTED}: {again}", STOPPED)
    except OSError as error:
        return complain(err, f"cannot go on: {error}\n{again}", STOPPED)


@contextmanager
def _locked(loop: Loop) -> Iterator[int]:
    """Hold the run against other processes that iterate; each round locks the run itself.

    Yields the lock's open file: a child that holds it too keeps the run locked while it lives.
    """
    path = loop.models.folder / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UsageError(f"cannot write to {loop.models.folder}: {error.strerror}") from None
    with lease.locked(path, loop.run) as held:
        yield held


def run(loop: Loop, session: Session, lock: int, out: Console) -> int:
    """Do what is left of the iterations; returns the exit code."""
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
            _check_trainings(loop, session, lock)
        _deal(loop, done, out)
    for iteration in range(1, loop.iterations + 1):
        _iterate(loop, iteration, session, lock, out)
    out.print()
    out.print(table(loop.run, loop.models, loop.iterations))
    for role in ROLES:
        out.print(f"{role.name}: {loop.models.of(role, loop.iterations + 1)}", markup=False)
    return WITH_FAILURES if _failures(loop) else DONE


def _check_settings(loop: Loop, records: Sequence[Record]) -> None:
    """Refuse other settings than those of what is done; what is in progress checks its own."""
    if records[0].refined:
        _claim(loop)
    for iteration, record in enumerate(records, 1):
        for role in ROLES:
            held, wanted = record.trained.get(role.name), loop.arguments[role.name]
            if held is not None and held != wanted:
                raise SettingsDiffer(
                    f"the {role.name} of iteration {iteration + 1} in {loop.run} was made with "
                    f"other settings ({role.training}: {shlex.join(held)!r} -> "
                    f"{shlex.join(wanted)!r})"
                )


def _check_trainings(loop: Loop, session: Session, lock: int) -> None:
    """Have the trainings look at their arguments, hours before they are needed."""
    for role in ROLES:
        if arguments := loop.arguments[role.name]:
            given = ["--data", loop.run, "--model", loop.models.first[role.name]]
            given += ["--output", str(loop.models.made(role, 1)), "--check"]
            command = [sys.executable, "-m", role.training, *given, *arguments]
            _end(child.run(command, [lock]), f"{role.training} --check", session)


def _claim(loop: Loop) -> None:
    """Later iterations go on with the models and the settings of the first round."""
    job = loop.job
    claimed: dict[str, Any] = {}
    for stage in job.stages:
        if stage.roles:
            claimed |= depends_on(job, stage, stage.settings(job.options))
    variants.hold(job.dataset, "iterate", claimed)


def _deal(loop: Loop, records: Sequence[Record], out: Console) -> None:
    """Deal prompts to the iterations whose data rounds are not done."""
    ahead = [iteration for iteration, record in enumerate(records, 1) if not record.refined]
    files = loop.job.prompts
    if not ahead:
        return
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
        dealt = intake.deal(loop.run, ahead, files, loop.job.limit)
    said = f"prompts: {dealt.prompts} from {files}, dealt to {loop.iterations} iterations"
    if dealt.added < dealt.prompts:
        said += f"; {dealt.prompts - dealt.added} were in the run already"
    if dealt.failures:
        said += f"; {dealt.failures} rows left out (see `failures`)"
    out.print(said, markup=False)


def _iterate(loop: Loop, iteration: int, session: Session, lock: int, out: Console) -> None:
    record = loop.models.record(iteration)
    if not record.refined:
        with _timed(loop.models, iteration, record, session):
            _refine(loop, iteration, session, lock, out)
            record.refined = True
    for role in ROLES:
        if role.name not in record.trained:
            with _timed(loop.models, iteration, record, session):
                record.trained[role.name] = _train(loop, role, iteration, session, lock, out)


@contextmanager
def _timed(models: Models, iteration: int, record: Record, session: Session) -> Iterator[None]:
    """Write the record after a step, however it ends."""
    if session.is_pressed:
        raise RunStopped(INTERRUPTED)
    began = time.monotonic()
    try:
        yield
    finally:
        record.seconds += time.monotonic() - began
        models.write(iteration, record)


def _refine(loop: Loop, iteration: int, session: Session, lock: int, out: Console) -> None:
    actor, refiner = (_model(loop, role, iteration) for role in ROLES)
    _announce(out, loop, iteration, f"a data round with actor {actor}, refiner {refiner}")
    given = ["--iteration", str(iteration), "--actor_model", actor, "--refiner_model", refiner]
    command = [sys.executable, "-m", "pipelines.refine", *loop.options, *given]
    _end(child.run(command, [lock]), f"the data round of iteration {iteration}", session)
    if iteration == 1:
        _claim(loop)


def _train(
    loop: Loop, role: Role, iteration: int, session: Session, lock: int, out: Console
) -> list[str] | None:
    """Make the next model of a role; returns what it was trained with, None if it stays."""
    model, arguments = _model(loop, role, iteration), loop.arguments[role.name]
    folder = loop.models.made(role, iteration)
    if rows(loop.run, role.table, iteration):
        _announce(out, loop, iteration, f"{role.training} makes {folder} of {model}")
        given = ["--data", loop.run, "--where", f"iteration = {iteration}"]
        given += ["--method", SPAR, "--variant", MAIN]
        given += ["--model", model, "--output", str(folder)]
        code = child.run([*loop.launch, "-m", role.training, *given, *arguments], [lock])
        if code != NOTHING_LEFT:
            _end(code, f"{role.training} of iteration {iteration}", session)
            if not (folder / "config.json").is_file():
                raise ChildEnded(STOPPED, f"{role.training} left no checkpoint in {folder}")
            return arguments
    out.print(
        f"iteration {iteration} of {loop.iterations}: no {role.noun} to train on, "
        f"the {role.name} stays {Path(model).name}",
        markup=False,
    )
    return None


def _model(loop: Loop, role: Role, iteration: int) -> str:
    """The model that plays a role in an iteration, which must be there."""
    model = loop.models.of(role, iteration)
    if model != loop.models.first[role.name] and not (Path(model) / "config.json").is_file():
        raise InputError(
            f"{model} is gone, the {role.name} of iteration {iteration}: put it back, or begin "
            "another run"
        )
    return model


def _end(code: int, what: str, session: Session) -> None:
    """Go on after a child that did its work.

    Raises:
        ChildEnded, RunStopped: it did not.
    """
    if code in (DONE, WITH_FAILURES):
        return
    if code in (BAD_USAGE, STOPPED, OTHER_SETTINGS):
        raise ChildEnded(code)
    if session.is_pressed:
        raise RunStopped(INTERRUPTED)
    how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
    raise ChildEnded(STOPPED, f"{what} {how}: run the same command again to go on")


def _announce(out: Console, loop: Loop, iteration: int, what: str) -> None:
    out.print(f"\niteration {iteration} of {loop.iterations}: {what}", markup=False)


def _failures(loop: Loop) -> int:
    with connect(loop.run, ("failures",)) as connection:
        query = "select count(*) from failures where iteration <= ?"
        return int(connection.execute(query, [loop.iterations]).fetchall()[0][0])


if __name__ == "__main__":
    sys.exit(main())
