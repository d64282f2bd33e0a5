"""Status: how far a run is, stage by stage, who works on it, and how its job elsewhere is.

It only looks: it holds nothing and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipelines.execution import lease, running
from pipelines.execution.advance import Advance, advances
from pipelines.execution.elsewhere import JobNotFound
from pipelines.execution.options import DEMO_RUN, Parser, underscored
from pipelines.execution.running import Running
from schemas.table import MAIN
from spar_core.dataset import Dataset
from terminal.exits import BAD_USAGE, DONE, STOPPED, UsageError, complain
from terminal.text import as_table

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
        return _show(run, out)
    except (UsageError, ValueError) as error:
        return complain(err, str(error), BAD_USAGE)
    except OSError as error:
        return complain(err, f"cannot read the run {run}: {error}", STOPPED)


def _show(run: str, out: Console) -> int:
    dataset = Dataset(run, 0)
    found, job, who = list(advances(run)), running.noted(dataset), lease.holder(dataset)
    if not found and not job and not who:
        raise UsageError(f"no run at {run} (python -m pipelines.refine makes one)")
    out.print(f"{run}: {who or 'nobody'} works on it", markup=False, soft_wrap=True)
    if job:
        where = f" ({job.place.url})" if job.place.url else ""
        out.print(f"{job.name}: {job.place}{where}: {_state(job)}", markup=False, soft_wrap=True)
    if found:
        out.print(_table(found))
    return DONE


def _state(job: Running) -> str:
    try:
        return running.state_of(job)
    except JobNotFound as error:
        return f"state not known, {error}"


def _table(found: Sequence[Advance]) -> Table:
    """A row a stage; variants are named where there are any."""
    are_several = any(each.variant != MAIN for each in found)
    columns = ["iteration", "stage", *(["variant"] if are_several else [])]
    columns += ["done", "pending", "failed", "tokens", "last commit"]
    rows = [
        [
            *(each.iteration, each.stage, *([each.variant] if are_several else [])),
            *(each.done, each.pending, each.failed, each.tokens),
            f"{each.last.astimezone():%Y-%m-%d %H:%M:%S}" if each.last else None,
        ]
        for each in found
    ]
    return as_table(columns, rows)


if __name__ == "__main__":
    sys.exit(main())
