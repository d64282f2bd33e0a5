"""What a measurement hands over: a table, figures for the README, raw results and plots."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PLOTS = Path(__file__).parents[1] / "docs" / "plots"


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement.

    figures: rows of the README: what, how much, under which conditions.
    data: all of it, as JSON.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    figures: Sequence[tuple[str, str, str]]
    data: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, object]:
    """Where and under what load something is measured."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def save(report: Report, results: Path = RESULTS) -> None:
    """Keep the raw results."""
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{report.name}.json").write_text(json.dumps(report.data, indent=1) + "\n")


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers to the right."""
    right = [bool(rows) and isinstance(cell, (int, float)) for cell in rows[0]]
    lines = [columns, ["---:" if is_number else "---" for is_number in right], *rows]
    return "\n".join("| " + " | ".join(_shown(cell) for cell in line) + " |" for line in lines)


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


@contextmanager
def plotting(path: Path, panels: int = 1) -> Iterator[Any]:
    """Axes to draw on, one below the other, saved as a small PNG after the body."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        panels, 1, figsize=(7, 2.4 * panels), squeeze=False, layout="constrained"
    )
    for axis in axes[:, 0]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    yield axes[:, 0]
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
