"""Runs, iterations and variants side by side, from what they were evaluated on; or methods, from
what they made."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, INTERRUPTED, UsageError, complain
from terminal.packages import extra, not_imported
from terminal.text import as_table, as_text

if TYPE_CHECKING:
    from inspection.compare.methods import Methods
    from inspection.compare.shown import Shown
    from inspection.compare.systems import Results

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
    parser.add_argument(
        "--by",
        choices=("system", "method"),
        default="system",
        help="method: what each method made of the runs' prompts and at what cost, and the scores "
        "of the models that were trained on it (default: system)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="with --by method: folders that training.dpo or training.sft wrote, beside RUN/models",
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
    import duckdb

    # Off a terminal rows are not folded to a width that nobody has.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    err = Console(stderr=True, highlight=False)
    try:
        made = None
        if options.by == "method":
            made, found = by_method(
                options.runs, options.models, options.benchmark, parts=options.parts
            )
        elif options.models:
            raise UsageError("--models goes with --by method")
        else:
            found = compared(options.runs, options.benchmark, parts=options.parts)
        if options.output is None:
            show(found, out, made)
        else:
            says = write(found, Path(options.output), made)
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

    return _shown(read(runs, benchmark), parts=parts)


def by_method(
    runs: Sequence[str],
    models: Sequence[str] = (),
    benchmark: str | None = None,
    *,
    parts: bool = False,
) -> tuple[Methods, list[Shown]]:
    """What methods made of the prompts of runs, and what the models that learnt it came to.

    Args:
        models: folders of trainings that are not the runs' own.
        benchmark: this one alone; None for all. parts: kinds, levels and subsets, too.

    Raises:
        OSError: no run is there.
        UsageError: a run is named twice, none has rows by a method, or a folder is no training's.
        ImportError: there are scores, and a library of the extra `evaluate` is missing.
    """
    from inspection.compare.methods import methods
    from inspection.compare.trainings import scores

    made = methods(runs)
    found = [each for each in scores(runs, models) if benchmark in (None, each.benchmark)]
    return made, _shown(found, parts=parts) if found else []


def _shown(found: Sequence[Results], *, parts: bool) -> list[Shown]:
    try:
        from inspection.compare.shown import shown
    except ImportError as error:
        said = not_imported("inspection.compare", error, extra("evaluate"))
        raise ImportError(said) from error
    return shown(found, parts=parts)


def show(benchmarks: Sequence[Shown], console: Console, methods: Methods | None = None) -> None:
    """Print the tables of methods and benchmarks, and below them what to know before reading."""
    if methods:
        for table in methods.tables:
            console.print(as_table(table.head, table.rows, escape(table.title)))
        console.print(methods.note, markup=False)
        for text in methods.warnings:
            console.print(Text(f"! {text}", style="bold yellow"), soft_wrap=True)
        if not benchmarks:
            console.print(methods.unscored, markup=False)
    for each in benchmarks:
        for table in (*each.tables, *each.parts):
            console.print(as_table(table.head, table.rows, escape(table.title)))
        for text in each.warnings:
            console.print(Text(f"! {text}", style="bold yellow"), soft_wrap=True)
        if each.parts and len(each.results.systems) > 1:
            console.print(_CHANCE)


def write(benchmarks: Sequence[Shown], output: Path, methods: Methods | None = None) -> str:
    """Write the page and say in a line what it is.

    Raises:
        ValueError, OSError: the file cannot be written.
        ImportError: a library of the extra `report` is missing.
    """
    try:
        from inspection.compare.page import page
        from inspection.report.output import replacing
    except ImportError as error:
        said = not_imported("--output", error, extra("report"))
        raise ImportError(said) from error
    with replacing(output) as file:
        for piece in page(benchmarks, methods):
            file.write(piece)
    warned = sum(len(each.warnings) for each in benchmarks)
    warned += len(methods.warnings) if methods else 0
    names = ", ".join(
        [
            *(["methods"] if methods else []),
            *(as_text(each.results.benchmark) for each in benchmarks),
        ]
    )
    return (
        f"{as_text(str(output))}: {output.stat().st_size / 1e6:.1f} MB. {names}"
        f"{f'; {warned} warnings stand in it' if warned else ''}."
    )


if __name__ == "__main__":
    sys.exit(main())
