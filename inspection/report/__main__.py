"""One HTML file that shows a run: its numbers, charts, and its pairs to read, without a network."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inspection.report.output import replacing
from inspection.training_pairs import training
from schemas import manifest, run_folder
from schemas.views import connect
from terminal import trail
from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, complain
from terminal.packages import extra, not_imported
from terminal.text import as_text

_MEMORY = "2GB"
"""DuckDB's; what does not fit goes to disk."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m inspection.report", description=__doc__)
    parser.add_argument("--run", default="runs/demo", help="folder of the run (default: runs/demo)")
    parser.add_argument(
        "--output", default="report.html", help="the file, replaced if there (default: report.html)"
    )
    parser.add_argument(
        "--pairs",
        type=int,
        metavar="N",
        help="show at most so many pairs, drawn at random (default: 10000, and fewer "
        "where the file would grow over 30 MB); fewer pairs leave room for more of their trees",
    )
    options = parser.parse_args(argv)
    import duckdb

    err = Console(stderr=True, highlight=False)
    try:
        says = write(options.run, Path(options.output), options.pairs)
    except (duckdb.Error, ImportError, OSError, ValueError) as error:
        return complain(err, _first_line(error), BAD_USAGE)
    except KeyboardInterrupt:
        err.print("stopped: nothing was written")
        return STOPPED
    Console(highlight=False).print(says, markup=False, soft_wrap=True)
    return DONE


def write(run: str, output: Path, pairs: int | None = None) -> str:
    """Write the report; say in a line what it is, and in another one what trains on its pairs.

    Raises:
        ValueError: an argument is no good.
        OSError: no run is there, or the file cannot be written.
        ImportError: a library of the extra `report` is missing.
    """
    try:
        from inspection.report.draw import PAIRS, draw
        from inspection.report.figures import figures
        from inspection.report.page import page, shown
    except ImportError as error:
        said = not_imported("inspection.report", error, extra("report"))
        raise ImportError(said) from error
    if pairs is not None and pairs < 1:
        raise ValueError(f"--pairs {pairs}: at least 1 is needed")
    fs, root = run_folder.opened(run)
    if not manifest.read(fs, root):
        raise FileNotFoundError(f"no run at {run} (python -m pipelines.refine makes one)")
    with (
        replacing(output) as file,
        tempfile.TemporaryDirectory() as spill,
        connect(run) as connection,
    ):
        connection.execute(f"set memory_limit = '{_MEMORY}'")
        connection.execute(f"set temp_directory = '{spill}'")
        drawn = draw(connection, pairs or PAIRS)
        name = root.rstrip("/").rpartition("/")[2] or run
        for piece in page(name, figures(connection), drawn):
            file.write(piece)
        command = training(connection, run)
    size = output.stat().st_size
    said = f"{as_text(str(output))}: {size / 1e6:.1f} MB. {shown(drawn)}"
    return f"{said}\n\n{as_text(trail.following(command))}" if command else said


def _first_line(error: Exception) -> str:
    return str(error).partition("\n\n")[0]


if __name__ == "__main__":
    sys.exit(main())
