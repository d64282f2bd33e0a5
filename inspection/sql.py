"""SQL over a run: without a query a summary, with one its rows. Read-only."""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from inspection import catalog
from inspection.catalog import NoCatalog
from inspection.summary import print_summary
from schemas import TABLES, manifest, run_folder
from schemas.questions import MACROS, VIEWS
from schemas.views import connect, quoted
from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, INTERRUPTED, complain
from terminal.json_text import finite
from terminal.text import as_table, as_text

if TYPE_CHECKING:
    import duckdb

TABLE_ROWS = 10_000
"""More rows than this are no table to look at."""

_BATCH = 1000
_ERROR_CHARS = 500
SPARE_BYTES, SPARE_BYTES_PER_CORE = 1 << 30, 1 << 27
"""Address space beside what DuckDB may use: of Python, and of each thread."""

_SHAPES = {
    "table": "select *",
    "csv": "select columns(*)::varchar",
    "jsonl": "select to_json(_answer)::varchar",
}
"""What is selected from an answer to print it in a format."""


_TOO_LARGE = (
    "the query needs more than half of this machine's memory: ask for fewer rows or columns, or "
    "open a catalog (--catalog) with DuckDB itself, which spills to disk"
)


class RefusedQuery(Exception):
    """A query that is not run, or whose answer cannot be shown."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inspection.sql",
        description=__doc__,
        epilog=f"Tables: {', '.join(TABLES)}. Views: {', '.join(VIEWS)}. Macros: "
        f"{', '.join(f'{name}({macro.parameters})' for name, macro in MACROS.items())}. "
        "`from contents` tells what each answers, `describe <table>` lists its columns. "
        "Exit codes: 0 done; 2 bad usage or input, or a query that is refused; 130 interrupted.",
    )
    parser.add_argument("--run", default="runs/demo", help="folder of the run (default: runs/demo)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--sql", metavar="QUERY", help="a SELECT; without it a summary is printed")
    what.add_argument(
        "--catalog",
        metavar="FILE.duckdb",
        help="write a DuckDB file of views over what is committed now, for other tools to open; "
        "an earlier catalog is replaced",
    )
    parser.add_argument(
        "--format", choices=_SHAPES, default="table", help="of the rows (default: table)"
    )
    options = parser.parse_args(argv)
    import duckdb

    # Off a terminal rows are not folded to a width that nobody has.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    out = Console(highlight=False, width=width if options.sql else None)
    err = Console(stderr=True, highlight=False)
    try:
        _check_run(options.run)
        if options.catalog is not None:
            _write_catalog(options.run, options.catalog, out)
        elif options.sql is None:
            print_summary(options.run, out)
        else:
            with _killable():
                _print_rows(options.run, options.sql, options.format, out)
    except BrokenPipeError:
        # Whoever read this has left; nor may the interpreter's last flush complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return complain(err, "interrupted", INTERRUPTED)
    except (RefusedQuery, NoCatalog, duckdb.Error, MemoryError, OSError, ValueError) as error:
        message = _TOO_LARGE if _is_out_of_memory(error) else _in_a_line(error)
        return complain(err, message, BAD_USAGE)
    return DONE


def _is_out_of_memory(error: Exception) -> bool:
    """DuckDB may run out of it once more while it words its error."""
    import duckdb

    kinds = (duckdb.OutOfMemoryException, MemoryError)
    return isinstance(error, kinds) or "std::bad_alloc" in str(error)


def select(
    run: str, sql: str, *, most: int | None = None
) -> tuple[list[str], list[Sequence[object]]]:
    """Column names and rows of a query over a run.

    Args:
        most: more rows are refused.

    Raises:
        RefusedQuery: it is not a single SELECT, or gives too many rows.
        duckdb.Error: it is wrong, tries to reach what is not in the run, or needs more memory
            than a query may have.
    """
    rows: list[Sequence[object]] = []
    with _asked(run, sql, "table") as answer:
        while batch := answer.fetchmany(_BATCH):
            rows += batch
            if most is not None and len(rows) > most:
                raise RefusedQuery(
                    f"over {most:,} rows, too many for a table: add a limit, or --format csv or "
                    "jsonl"
                )
        return [column[0] for column in answer.description], rows


@contextmanager
def _asked(run: str, sql: str, shape: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The answer to a query, to be fetched from; its rows are shaped for a format."""
    import duckdb

    with connect(run, locked=True) as connection:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            hint = "; PIVOT needs its values: on COLUMN in (...)" if kinds == "MULTI" else ""
            raise RefusedQuery(
                f"only a single SELECT is run, not {kinds}: runs are read-only{hint}"
            )
        # A SELECT can begin with a COPY in a WITH. Below the top level DuckDB refuses these, and
        # there `query` puts whatever the text says.
        with _bounded_memory(connection):
            yield connection.execute(f"{_SHAPES[shape]} from query({quoted(sql)}) as _answer")


@contextmanager
def _bounded_memory(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """The process held to what DuckDB may use: DuckDB does not count the texts that it makes."""
    if sys.platform != "linux":
        yield
        return
    import resource

    limit = "select parse_formatted_bytes(current_setting('memory_limit'))"
    [(allowed,)] = connection.execute(limit).fetchall()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + allowed
    size += SPARE_BYTES + SPARE_BYTES_PER_CORE * (os.cpu_count() or 1)
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    if before != resource.RLIM_INFINITY:
        size = min(size, before)
    resource.setrlimit(resource.RLIMIT_AS, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))


@contextmanager
def _killable() -> Iterator[None]:
    """Ctrl-C ends the process there and then: DuckDB does not look up from a long query."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_rows(run: str, sql: str, shape: str, out: Console) -> None:
    if shape == "table":
        out.print(as_table(*select(run, sql, most=TABLE_ROWS)))
        return
    # On a terminal nothing is written that it would act on; to files and programs all as it is.
    shown = as_text if sys.stdout.isatty() else str
    with _asked(run, sql, shape) as answer:
        written = csv.writer(_Lines(sys.stdout), lineterminator="\r\n")
        if shape == "csv":
            written.writerow([shown(column[0]) for column in answer.description])
        while batch := answer.fetchmany(_BATCH):
            if shape == "csv":
                rows = ([None if cell is None else shown(cell) for cell in row] for row in batch)
                written.writerows(rows)
            else:
                sys.stdout.writelines(f"{shown(finite(row[0]))}\n" for row in batch)
    sys.stdout.flush()


class _Lines:
    """A text file that rows of CSV are written to with `\\n` at their ends.

    The writer quotes a cell that holds a character of its line's end: with `\\r\\n` all cells are
    quoted that a reader would part.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> int:
        return self._file.write(row.removesuffix("\r\n") + "\n")


def _write_catalog(run: str, file: str, out: Console) -> None:
    made = catalog.write(run, file)
    out.print(
        f"{made.path}: {made.names} views and macros over {made.files:,} committed files of {run}. "
        "It stays as of now: the same command makes it anew.\n"
        f"Open it with: duckdb -readonly {shlex.quote(made.path)}",
        markup=False,
        soft_wrap=True,
    )


def _check_run(run: str) -> None:
    if not manifest.read(*run_folder.opened(run)):
        raise FileNotFoundError(f"no run at {run} (python -m pipelines.refine makes one)")


def _in_a_line(error: Exception) -> str:
    """What an error says before it goes into detail."""
    first = str(error).partition("\n\n")[0]
    return textwrap.shorten(first, _ERROR_CHARS, placeholder=" ...")


if __name__ == "__main__":
    sys.exit(main())
