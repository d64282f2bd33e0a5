"""The figures of several runs, read from their tables `evaluations`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import fsspec

from inspection.compare.systems import Results, Row, evaluation, results
from schemas import manifest
from schemas.evaluations import Evaluation
from schemas.views import connect
from terminal.exits import UsageError


def read(runs: Sequence[str], benchmark: str | None = None) -> list[Results]:
    """What the runs were found to be worth, by benchmark.

    Args:
        benchmark: this one alone; None for all.

    Raises:
        OSError: no run is there.
        UsageError: a run is named twice or has no evaluations, or none has the benchmark.
    """
    called = names(runs)
    found: list[Row] = []
    for run, name in called.items():
        rows = [Row(name, *held) for held in figures(run)]
        if not rows:
            raise UsageError(
                f"{run} has no evaluations: python -m pipelines.evaluate --run {shlex.quote(run)} "
                "--benchmark ifeval"
            )
        found += rows
    known = sorted({row.figure.benchmark for row in found})
    if benchmark is None:
        return results(found)
    if benchmark not in known:
        raise UsageError(f"--benchmark {benchmark}: the runs were evaluated on {', '.join(known)}")
    return results(row for row in found if row.figure.benchmark == benchmark)


def names(runs: Sequence[str]) -> dict[str, str]:
    """What each run is called: its folder's name, or all that was given where two have the same."""
    roots: dict[str, str] = {}
    for run in runs:
        fs, root = fsspec.core.url_to_fs(run)
        if not manifest.read(fs, root):
            raise FileNotFoundError(f"no run at {run} (python -m pipelines.refine makes one)")
        here = manifest.is_local(fs)
        place = os.path.abspath(root) if here else fs.unstrip_protocol(root).rstrip("/")
        if place in roots.values():
            raise UsageError(f"--runs names {run} twice")
        roots[run] = place
    folders = {run: place.rpartition("/")[2] for run, place in roots.items()}
    taken = list(folders.values())
    return {run: name if taken.count(name) == 1 else run for run, name in folders.items()}


def figures(run: str) -> list[tuple[int, Evaluation]]:
    """All figures of a run, each with its iteration."""
    with connect(run, ("evaluations",)) as connection:
        relation = connection.sql("from evaluations")
        columns = relation.columns
        rows = [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]
    return [(row["iteration"], evaluation(row)) for row in rows]
