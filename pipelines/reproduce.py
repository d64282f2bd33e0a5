"""Reproduce: the paper's comparisons at a scale that fits the machine, scored by programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from pipelines.execution.child import ChildEnded
from pipelines.execution.lease import RunLocked
from pipelines.execution.parser import Parser, underscored
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.reproduction import forecast
from pipelines.reproduction.record import Record
from pipelines.reproduction.settings import SCALES, Rates, path_of, read
from pipelines.reproduction.steps import steps
from spar_core.stages.drawing import whole
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

AGAIN = "run the same command again to go on"


def main(argv: Sequence[str] | None = None) -> int:
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    try:
        options = _options(sys.argv[1:] if argv is None else argv)
        return _reproduce(options, out)
    except (UsageError, InputError, RunLocked) as error:
        return complain(err, str(error), BAD_USAGE)
    except SettingsDiffer as error:
        return complain(err, f"{error}; give those, or another --run", OTHER_SETTINGS)
    except ChildEnded as error:
        return complain(err, str(error), error.code)
    except (RunStopped, KeyboardInterrupt) as error:
        return complain(err, f"{str(error) or INTERRUPTED}: {AGAIN}", STOPPED)
    except OSError as error:
        return complain(err, f"cannot go on: {error}\n{AGAIN}", STOPPED)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m pipelines.reproduce",
        description=__doc__,
        epilog="Exit codes: 0 done; 2 bad usage or input; 4 stopped, run the same command to go "
        "on; 5 the folder was begun with other settings.",
        allow_abbrev=False,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--scale",
        choices=SCALES,
        default=SCALES[0],
        help="cpu: two cores; gpu: one small GPU; 8b: the paper's sizes (default: cpu)",
    )
    which.add_argument(
        "--settings", type=Path, metavar="FILE", help="settings of your own, in place of a scale's"
    )
    parser.add_argument(
        "--seeds",
        type=whole(1),
        default=1,
        metavar="N",
        help="how many times all of it is done, each with a seed of its own (default: 1)",
    )
    parser.add_argument(
        "--run", type=Path, metavar="DIR", help="folder of all that is made (runs/reproduce-SCALE)"
    )
    parser.add_argument(
        "--data",
        default="",
        metavar="PATH",
        help="a folder with the benchmarks' files (default: the Hub)",
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="say what is left and what it takes, and end"
    )
    names = ", ".join(each.name for each in fields(Rates))
    parser.add_argument(
        "--rate",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"what a dry run reckons with: {names}",
    )
    return parser.parse_args([underscored(argument) for argument in argv])


def _reproduce(options: argparse.Namespace, out: Console) -> int:
    scale = options.scale if options.settings is None else options.settings.stem
    settings, content = read(options.settings or path_of(scale))
    settings = replace(settings, rates=_rates(settings.rates, options.rate))
    folder = (options.run or Path("runs") / f"reproduce-{scale}").absolute()
    record = Record.of(folder, scale, content)
    all_steps = list(steps(folder, settings, record, options.data, options.seeds))
    if options.dry_run:
        out.print(settings.about.strip(), markup=False)
        forecast.show(all_steps, settings, set(record.steps), out)
        return DONE
    from pipelines.reproduction.running import run  # loads the engines

    return run(folder, record, all_steps, out)


def _rates(rates: Rates, given: Sequence[str]) -> Rates:
    known = {each.name: type(getattr(rates, each.name)) for each in fields(Rates)}
    for said in given:
        name, _, value = said.partition("=")
        try:
            rates = replace(rates, **{name: known[name](value)})
        except (KeyError, ValueError):
            raise UsageError(
                f"--rate {said!r}: give NAME=VALUE with one of {', '.join(known)}"
            ) from None
    return rates


if __name__ == "__main__":
    sys.exit(main())
