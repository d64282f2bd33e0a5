"""Plan: what a data round, or iterations, will take: tokens, engine hours, time, disk, money.

From a probe (some of the prompts are done, in the run itself), from an earlier run, or from what
is assumed where neither is given.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence

from pipelines.execution import command
from pipelines.execution.options import Job, parse
from spar_core.costs import assumed
from spar_core.costs.assumed import Assumptions
from spar_core.costs.taken import STAGES
from spar_core.engine.protocol import EngineGone
from spar_core.methods import METHODS
from spar_core.stages.drawing import between, whole
from spar_core.variants import SettingsDiffer
from terminal.console import Console
from terminal.exits import (
    BAD_USAGE,
    DONE,
    OTHER_SETTINGS,
    STOPPED,
    InputError,
    UsageError,
    complain,
)

PLANNED = {
    name: stages
    for name, stages in METHODS.items()
    if {stage.name for stage in stages if stage.roles} <= {*STAGES}
}
"""Methods whose requests can be told from the tables."""


def main(argv: Sequence[str] | None = None) -> int:
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    try:
        job = parse("plan", __doc__ or "", PLANNED, argv, add=_add)
        _check(job)
        if not job.options.probe:
            from pipelines.planner import foretell  # loads DuckDB and Arrow

            foretell(job, out)
            return DONE
    except (UsageError, InputError) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        return complain(err, f"{error}; plan with these, or another --run", OTHER_SETTINGS)
    except (EngineGone, OSError) as error:
        return complain(err, str(error), STOPPED)
    from pipelines.planner import Probe

    probe = Probe()
    own = command.Own(_add, _check, probe.read, probe.show, probe.following)
    return command.main("plan", __doc__ or "", PLANNED, argv, own=own)


def _add(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the plan")
    group.add_argument(
        "--probe",
        type=whole(1),
        metavar="N",
        help="do N of the prompts that are left, drawn by --seed, and predict the others from what "
        "they take; their rows are the run's, and the round goes on from them",
    )
    group.add_argument(
        "--from_run", metavar="DIR", help="predict from what an earlier run's iteration has taken"
    )
    group.add_argument(
        "--assume",
        type=_assumptions,
        metavar="NAME=VALUE,...",
        help="what is assumed where neither is given: "
        + ", ".join(f"{name}={value:g}" for name, value in assumed.values(Assumptions()).items()),
    )
    group.add_argument(
        "--engine_count",
        type=whole(1),
        nargs="+",
        metavar="N",
        help="numbers of engines to give the time for (default: as many as are named, 2 and 4 and "
        "8 times as many)",
    )
    group.add_argument(
        "--gpu_hour",
        type=between(0),
        metavar="PRICE",
        help="what an engine costs an hour, all its GPUs, in any currency",
    )
    group.add_argument(
        "--iterations",
        type=whole(1),
        metavar="N",
        help="plan pipelines.iterate: the prompts are dealt to N rounds, with trainings after each",
    )
    for name, of in (("dpo", "the actor"), ("rft", "the refiner")):
        group.add_argument(
            f"--{name}_step_s",
            type=between(0),
            metavar="S",
            help=f"seconds of a step in the training of {of} (default: its time is left out)",
        )
    group.add_argument(
        "--train_devices",
        type=whole(1),
        default=1,
        metavar="N",
        help="devices that train, with the batch of docs/training.md each (default: 1)",
    )


def _assumptions(text: str) -> Assumptions:
    try:
        return assumed.read(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _check(job: Job) -> None:
    options = job.options
    given = [name for name in ("probe", "from_run", "assume") if getattr(options, name)]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]}: a plan is made from one of them")
    if options.from_run == "":
        raise UsageError("--from_run must be a path or URL, not ''")
    if options.probe and any(getattr(options, name, False) for name in ("detach", "attach")):
        raise UsageError("--probe waits for its prompts: --detach and --attach are not for it")
    if options.iterations and job.dataset.iteration != 1:
        raise UsageError("--iteration is not for --iterations: these begin with the first")


if __name__ == "__main__":
    sys.exit(main())
