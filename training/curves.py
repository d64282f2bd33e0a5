"""A training's course: its logged numbers as CSV, and drawn."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

PANELS = (
    ("loss", ("loss", "eval_loss")),
    ("reward", ("rewards/chosen", "rewards/rejected", "rewards/margins")),
    ("accuracy", ("rewards/accuracies", "mean_token_accuracy")),
    ("log probability", ("logps/chosen", "logps/rejected")),
)
"""What is drawn together, where it was logged."""

Log = Sequence[Mapping[str, float]]


def write_csv(log: Log, path: Path) -> None:
    """One line for each step that was logged, a column for each number."""
    steps: dict[int, dict[str, float]] = {}
    for entry in log:
        steps.setdefault(int(entry["step"]), {}).update(entry)
    names = list(dict.fromkeys(name for row in steps.values() for name in row))
    names = ["step", *(name for name in names if name != "step")]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(steps[step] for step in sorted(steps))


def draw(log: Log, path: Path, title: str) -> None:
    """The curves as a PNG, a panel for each group of `PANELS` that was logged."""
    from matplotlib.figure import Figure

    logged = {name for entry in log for name in entry}
    panels = [(label, [n for n in names if n in logged]) for label, names in PANELS]
    panels = [(label, names) for label, names in panels if names]
    if not panels:
        return
    figure = Figure(figsize=(4.5 * len(panels), 3.5), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(1, len(panels), squeeze=False)
    for axes, (label, names) in zip(rows[0], panels, strict=True):
        for name in names:
            points = [(entry["step"], entry[name]) for entry in log if name in entry]
            marker = "." if len(points) < 50 else None
            axes.plot(*zip(*points, strict=True), label=name, marker=marker)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
