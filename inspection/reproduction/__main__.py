"""A Markdown page of what a reproduction measured, beside the paper's figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspection.reproduction import output as files
from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, INTERRUPTED, InputError, UsageError, complain
from terminal.packages import extra, not_imported
from terminal.text import as_text

if TYPE_CHECKING:
    from inspection.reproduction.page import Page


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inspection.reproduction",
        description=__doc__,
        epilog="Exit codes: 0 done; 2 bad usage or input; 130 interrupted.",
    )
    parser.add_argument(
        "--run",
        required=True,
        metavar="RUN",
        help="folder of a reproduction, finished or not (python -m pipelines.reproduce)",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE.md",
        help="the page; plots go into the folder FILE_plots beside it; both are replaced if there",
    )
    options = parser.parse_args(argv)
    import duckdb

    out = Console(highlight=False)
    err = Console(stderr=True, highlight=False)
    try:
        output = Path(options.output)
        files.check(output)
        made = reproduced(options.run, files.plots_folder(output).name)
        files.write(output, made.text, made.plots)
    except KeyboardInterrupt:
        return complain(err, "interrupted", INTERRUPTED)
    except (UsageError, InputError, duckdb.Error, ImportError, OSError, ValueError) as error:
        return complain(err, str(error).partition("\n")[0], BAD_USAGE)
    count = len(made.plots)
    plots = f"{count} plot{'s' * (count != 1)}"
    out.print(f"{as_text(str(output))}: the page, with {plots}", markup=False, soft_wrap=True)
    return DONE


def reproduced(run: str, plots_at: str) -> Page:
    """Return the page of a reproduction.

    Args:
        plots_at: the folder of the plots, relative to the page.

    Raises:
        InputError: there is no reproduction, or what it says cannot be used.
        ImportError: a library of the extras `evaluate` or `train` is missing.
    """
    from inspection.reproduction import contract

    held = contract.read(Path(run))
    try:
        from inspection.reproduction.measured import read
        from inspection.reproduction.page import page
    except ImportError as error:
        said = not_imported("inspection.reproduction", error, extra("evaluate", "train"))
        raise ImportError(said) from error
    return page(held, read(held.evaluations), run, plots_at)


if __name__ == "__main__":
    sys.exit(main())
