"""Both kinds of pairs over the steps, as a figure and as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from training.synthetic.results import Measurement
from training.synthetic.task import KINDS

_COLOURS = {"interfering": "tab:red", "refined": "tab:blue"}


def draw(measurements: Sequence[Measurement], factor: str, path: Path) -> None:
    """Accuracy and interfering factor: means over the seeds in a band of one deviation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name, title in (
        (axes[0], "accuracy", "accuracy"),
        (axes[1], "factor", f"interfering factor: {factor}"),
    ):
        start, _ = spread([getattr(m, name) for m in measurements if m.step == 0])
        axis.axhline(start, color="grey", linestyle="--", label="untouched start")
        for kind in KINDS:
            steps = sorted({m.step for m in measurements if m.pairs == kind})
            points = [spread(values(measurements, kind, step, name)) for step in steps]
            axis.plot(steps, [mean for mean, _ in points], color=_COLOURS[kind], label=kind)
            axis.fill_between(
                steps,
                [mean - deviation for mean, deviation in points],
                [mean + deviation for mean, deviation in points],
                color=_COLOURS[kind],
                alpha=0.2,
                linewidth=0,
            )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("steps")
        axis.set_ylim(-0.03, 1.03)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of held-out answers")
    axes[0].legend(fontsize=8)
    new = path.with_suffix(".new.png")
    figure.savefig(new, dpi=110)
    new.replace(path)


def table(measurements: Sequence[Measurement], factor: str) -> Table:
    """Start and end of both kinds: mean and deviation over the seeds."""
    seeds = len({m.seed for m in measurements})
    last = max(m.step for m in measurements)
    shown = Table(title=f"{measurements[0].task}: {seeds} seeds, mean ± standard deviation")
    shown.add_column("pairs")
    shown.add_column("step", justify="right")
    shown.add_column("accuracy", justify="right")
    shown.add_column(factor, justify="right")
    for name, kind, step in (
        ("none: the start", KINDS[0], 0),
        *((kind, kind, last) for kind in KINDS),
    ):
        cells = [
            "{:.3f} ± {:.3f}".format(*spread(values(measurements, kind, step, column)))
            for column in ("accuracy", "factor")
        ]
        shown.add_row(name, str(step), *cells)
    return shown


def values(measurements: Sequence[Measurement], kind: str, step: int, name: str) -> list[float]:
    """One number of each seed."""
    return [getattr(m, name) for m in measurements if m.pairs == kind and m.step == step]


def spread(numbers: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; of one number the deviation is 0."""
    return statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else 0.0
