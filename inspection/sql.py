"""SQL over a run: without a query a summary, with one its rows. Read-only."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

import duckdb
import fsspec
from rich.console import Console

from inspection.summary import as_table, as_text, print_summary
from schemas import TABLES, manifest
from schemas.views import SUMMARIES, connect

DONE, BAD_USAGE = 0, 2
"""Exit codes."""


class RefusedQuery(Exception):
    """A query that is no single SELECT."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inspection.sql",
        description=__doc__,
        epilog=f"Tables: {', '.join(TABLES)}. Views: {', '.join(SUMMARIES)}. "
        "`iteration` is a column of each. `describe <table>` lists the columns.",
    )
    parser.add_argument("--run", default="runs/demo", help="folder of the run (default: runs/demo)")
    parser.add_argument("--sql", metavar="QUERY", help="a SELECT; without it a summary is printed")
    options = parser.parse_args(argv)
    # Off a terminal rows are not folded to a width that nobody has.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    out = Console(highlight=False, width=width if options.sql else None)
    err = Console(stderr=True, highlight=False)
    try:
        _check_run(options.run)
        if options.sql is None:
            print_summary(options.run, out)
        else:
            columns, rows = select(options.run, options.sql)
            out.print(as_table(columns, rows))
    except (RefusedQuery, duckdb.Error, OSError, ValueError) as error:
        err.print(f"error: {as_text(_first_line(error))}", markup=False, soft_wrap=True)
        return BAD_USAGE
    return DONE


def select(run: str, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a query over a run.

    Raises:
        RefusedQuery: it is not a single SELECT.
        duckdb.Error: it is wrong, or tries to reach what is not in the run.
    """
    with connect(run, locked=True) as connection:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise RefusedQuery(f"only a single SELECT is run, not {kinds}: runs are read-only")
        relation = connection.sql(sql)
        return relation.columns, relation.fetchall()


def _check_run(run: str) -> None:
    fs, root = fsspec.core.url_to_fs(run)
    if not manifest.read(fs, root):
        raise FileNotFoundError(f"no run at {run} (python -m pipelines.refine makes one)")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n\n")[0]


if __name__ == "__main__":
    sys.exit(main())
