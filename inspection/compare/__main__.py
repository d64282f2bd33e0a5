"""Runs, iterations and variants side by side, from what they were evaluated on."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from terminal.exits import BAD_USAGE, DONE, INTERRUPTED, UsageError, complain
from terminal.text import as_table, as_text

if TYPE_CHECKING:
    from inspection.compare.shown import Shown

_CHANCE = "Of twenty differences that are chance alone, one has a p below 0.05."


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inspection.compare",
        description=__doc__,
        epilog="Exit codes: 0 done; 2 bad usage or input; 130 interrupted.",
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        action="extend",
        required=True,
        metavar="RUN",
        help="folders of runs; others are held against the first one's first system",
    )
    parser.add_argument("--benchmark", metavar="NAME", help="this benchmark alone")
    parser.add_argument(
        "--parts", action="store_true", help="kinds of constraints, levels, subsets, too"
    )
    parser.add_argument(
        "--output",
        metavar="FILE.html",
        help="write a page with charts instead of printing tables; replaced if there",
    )
    options = parser.parse_args(argv)
    # Off a terminal rows are not folded to a width that nobody has.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    err = Console(stderr=True, highlight=False)
    try:
        found = compared(options.runs, options.benchmark, parts=options.parts)
        if options.output is None:
            show(found, out)
        else:
            says = write(found, Path(options.output))
            out.print(says, markup=False, soft_wrap=True)
    except BrokenPipeError:
        # Whoever read this has left; nor may the interpreter's last flush complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return complain(err, "interrupted", INTERRUPTED)
    except (UsageError, duckdb.Error, ImportError, OSError, ValueError) as error:
        return complain(err, str(error).partition("\n\n")[0], BAD_USAGE)
    return DONE


def compared(
    runs: Sequence[str], benchmark: str | None = None, *, parts: bool = False
) -> list[Shown]:
    """What there is to show of runs, by benchmark.

    Args:
        benchmark: this one alone; None for all.
        parts: kinds, levels and subsets, too.

    Raises:
        OSError: no run is there.
        UsageError: a run is named twice or has no evaluations, or none has the benchmark.
        ImportError: a library of the extra `evaluate` is missing.
    """
    from inspection.compare.source import read

    found = read(runs, benchmark)
    try:
        from inspection.compare.shown import shown
    except ImportError as error:
        raise ImportError(f"{error.name} is missing: pip install '.[evaluate]'") from error
    return shown(found, parts=parts)


def show(benchmarks: Sequence[Shown], console: Console) -> None:
    """Print every benchmark's tables, and below them what to know before reading them."""
    for each in benchmarks:
        for table in (*each.tables, *each.parts):
            console.print(as_table(table.head, table.rows, escape(table.title)))
        for text in each.warnings:
            console.print(Text(f"! {text}", style="bold yellow"), soft_wrap=True)
        if each.parts and len(each.results.systems) > 1:
            console.print(_CHANCE)


def write(benchmarks: Sequence[Shown], output: Path) -> str:
    """Write the page and say in a line what it is.

    Raises:
        ValueError, OSError: the file cannot be written.
        ImportError: a library of the extra `report` is missing.
    """
    try:
        from inspection.compare.page import page
        from inspection.report.output import replacing
    except ImportError as error:
        raise ImportError(f"{error.name} is missing: pip install '.[report]'") from error
    with replacing(output) as file:
        for piece in page(benchmarks):
            file.write(piece)
    warned = sum(len(each.warnings) for each in benchmarks)
    names = ", ".join(as_text(each.results.benchmark) for each in benchmarks)
    return (
        f"{as_text(str(output))}: {output.stat().st_size / 1e6:.1f} MB. {names}"
        f"{f'; {warned} warnings stand in it' if warned else ''}."
    )


if __name__ == "__main__":
    sys.exit(main())
