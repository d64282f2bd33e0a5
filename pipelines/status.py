"""Status: how far a run is, stage by stage, who works on it, and how its job elsewhere is.

It only looks: it holds nothing and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution.options import DEMO_RUN
from pipelines.execution.parser import Parser, underscored
from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, InputError, UsageError, complain

_WIDE = 10_000


def main(argv: Sequence[str] | None = None) -> int:
    # Off a terminal rows are not folded to a width that nobody has.
    width = None if sys.stdout.isatty() else _WIDE
    out, err = Console(highlight=False, width=width), Console(stderr=True, highlight=False)
    parser = Parser(
        prog="python -m pipelines.status",
        description=__doc__,
        epilog="Exit codes: 0 done; 2 bad usage, or there is no run; 4 it cannot be read.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--run",
        default=DEMO_RUN,
        metavar="DIR",
        help=f"folder of the run: a path, or any URL that fsspec knows (default: {DEMO_RUN})",
    )
    try:
        given = [underscored(each) for each in (sys.argv[1:] if argv is None else argv)]
        run = parser.parse_args(given).run
        from pipelines.run_status import show  # loads DuckDB

        show(run, out)
        return DONE
    except (UsageError, InputError, ValueError) as error:
        return complain(err, str(error), BAD_USAGE)
    except OSError as error:
        return complain(err, f"cannot read the run {run}: {error}", STOPPED)


if __name__ == "__main__":
    sys.exit(main())
