"""Merge: the many commits of a run's stages become few, so that it opens and answers fast."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from pipelines.execution.lease import RunLocked
from pipelines.execution.parser import Parser, underscored
from spar_core.stages.drawing import whole
from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, InputError, UsageError, complain


def main(argv: Sequence[str] | None = None) -> int:
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    run = ""
    try:
        options = _options(argv)
        run = options.run
        from pipelines.merging import merge_run  # loads Arrow

        merge_run(run, options.iteration, out)
    except (UsageError, InputError, RunLocked) as error:
        return complain(err, str(error), BAD_USAGE)
    except OSError as error:
        return complain(err, f"cannot read or write the run {run}: {error}", STOPPED)
    except KeyboardInterrupt:
        return complain(err, "interrupted: run the same command again to go on", STOPPED)
    return DONE


def _options(argv: Sequence[str] | None) -> Namespace:
    parser = Parser(
        prog="python -m pipelines.merge",
        description=__doc__,
        epilog="A job merges by itself what is worth it when a stage ends. Readers and, on object "
        "stores, jobs may be at work meanwhile. What is superfluous goes an hour later, with the "
        "next job or this command. Exit codes: 0 done; 2 bad usage; 4 stopped, nothing is lost.",
        allow_abbrev=False,
    )
    parser.add_argument("--run", required=True, metavar="DIR", help="folder of the run, or its URL")
    parser.add_argument(
        "--iteration", type=whole(0), metavar="N", help="this iteration alone (default: all)"
    )
    arguments = [underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
