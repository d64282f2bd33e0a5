"""The option that keeps the prompts of benchmarks out of a run."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from spar_core.evolution.sifting import benchmarks
from spar_core.filters.library import NoLibrary
from terminal.exits import UsageError


def add(group: Any, dropped: str) -> None:
    """Add the option.

    Args:
        dropped: what is left out, in the words of the help.
    """
    group.add_argument(
        "--decontaminate",
        nargs="+",
        default=(),
        metavar="FILES",
        help=f"benchmark files (JSONL, JSON, CSV, Parquet; paths, globs or URLs): {dropped} "
        "that hold one of their prompts are left out",
    )


def check(options: Namespace) -> None:
    """Read the benchmarks that a command line names.

    Raises:
        UsageError: a file is not there, cannot be read or has no prompts, or a library that
            compares texts is not installed.
    """
    if not options.decontaminate:
        return
    from spar_core.filters.benchmarks import BadBenchmark

    try:
        benchmarks(tuple(options.decontaminate))
    except (BadBenchmark, NoLibrary) as error:
        raise UsageError(f"--decontaminate: {error}") from None
