"""Queries: how long each query of docs/sql.md takes over a run of 100,000 pairs, and the catalog.

Wall time is the median of three; CPU seconds tell what it would be on cores that nobody shares.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from benchmarks import harness, large_run, report
from benchmarks.report import Report
from inspection import catalog
from schemas import TABLES
from schemas.views import connect

PAGE = harness.ROOT / "docs" / "sql.md"
QUICK_PAIRS = 200

_TIMES = 3
_QUERY = re.compile(r"^```sql\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_ID = re.compile(r"'i\d+\.[^']+'")


def documented(page: str) -> list[str]:
    """The queries that a page shows."""
    return _QUERY.findall(page)


def with_example(query: str, pair_id: str) -> str:
    """The query about a pair that is there, where it is about one."""
    return _ID.sub(f"'{pair_id}'", query)


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds."""

    wall_s: float
    cpu_s: float


def measure(run: Path | None = None, *, pairs: int = large_run.PAIRS) -> Report:
    """Time the page's queries over a run; without one a run of so many pairs is made."""
    machine = report.machine()
    with harness.folder() as place:
        if run is None:
            run = place / "run"
            large_run.write(str(run), pairs)
        opened = _time(lambda: connect(str(run), locked=True).close())
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/catalog.duckdb"
            written = _time(lambda: catalog.write(str(run), file))
        with connect(str(run), locked=True) as connection:
            sizes = {
                name: connection.execute(f"select count(*) from {name}").fetchall()[0][0]
                for name in TABLES
            }
            example = connection.execute("select min(pair_id) from pairs").fetchall()[0][0]
            files = len(list(run.rglob("*.parquet")))
            queries = [with_example(query, example) for query in documented(PAGE.read_text())]
            times = {query: _time(partial(_fetch, connection, query)) for query in queries}
    slowest = max(times.values(), key=lambda each: each.wall_s)
    where = f"{sizes['pairs']:,} pairs in {files:,} files"
    rows = [
        ["opening the run", opened.wall_s, opened.cpu_s],
        ["writing the catalog", written.wall_s, written.cpu_s],
        *([f"`{' '.join(query.split())}`", t.wall_s, t.cpu_s] for query, t in times.items()),
    ]
    return Report(
        "queries",
        f"Queries over {where}",
        ("what", "s", "CPU s"),
        rows,
        [
            ("slowest query of docs/sql.md", f"{slowest.wall_s:.2f} s", where),
            ("writing a catalog", f"{written.wall_s:.2f} s", where),
        ],
        {
            "machine": machine,
            "rows": sizes,
            "files": files,
            "times": [{"what": row[0], "wall_s": row[1], "cpu_s": row[2]} for row in rows],
        },
    )


def _fetch(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    connection.execute(query).fetchall()


def _time(work: Callable[[], object]) -> Time:
    walls, cpus = [], []
    for _ in range(_TIMES):
        wall, cpu = time.monotonic(), time.process_time()
        work()
        walls.append(time.monotonic() - wall)
        cpus.append(time.process_time() - cpu)
    return Time(round(statistics.median(walls), 3), round(statistics.median(cpus), 3))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument("--run", type=Path, help="a run to measure on (default: one is made)")
    parser.add_argument("--pairs", type=int, default=large_run.PAIRS)
    o = parser.parse_args(argv)
    made = measure(o.run, pairs=o.pairs)
    report.save(made)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
