"""The plots of the page, as PNG: the score by iteration, and the score by number of responses."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from inspection.reproduction.contract import BASE, BOOTSTRAP, INDEPENDENT, SPAR, TAUGHT, Case
from inspection.reproduction.expectations import decoding_cases
from inspection.reproduction.figures import Pooled
from inspection.reproduction.measured import Results
from inspection.reproduction.wording import DECODERS
from terminal.text import as_text

_STYLES = (
    ("#0072b2", "o", "-"),
    ("#d55e00", "s", "--"),
    ("#009e73", "^", "-."),
    ("#cc79a7", "D", ":"),
    ("#6a6a6a", "v", "-"),
)
"""Colour, marker and line; told apart without colour, too."""


@dataclass(frozen=True, slots=True)
class Point:
    """A figure and where it stands on the x axis."""

    x: float
    figure: Pooled


def by_iteration(results: Results) -> bytes | None:
    """Draw the score on taught kinds by iteration, refined pairs against independent ones.

    None where nothing was measured yet.
    """
    start = [
        Point(x, found)
        for x, line in ((-1, BASE), (0, BOOTSTRAP))
        if (found := results.pooled(Case(TAUGHT, line, 0)))
    ]
    lines = {
        label: [
            Point(number, found)
            for number in results.iterations(line, TAUGHT)
            if (found := results.pooled(Case(TAUGHT, line, number)))
        ]
        for label, line in (("refined pairs (SPaR)", SPAR), ("independent pairs", INDEPENDENT))
    }
    if not start and not any(lines.values()):
        return None
    figure, axes = _axes()
    _errors(axes, start, "#333333", "D", label="before the first iteration")
    count = sum(bool(points) for points in lines.values())
    for number, (label, points) in enumerate(lines.items()):
        if points:
            colour, marker, dashes = _STYLES[number]
            shift = 0.06 * (number - (count - 1) / 2)
            moved = [Point(point.x + shift, point.figure) for point in points]
            _curve(axes, [*start[-1:], *moved], colour, dashes)
            _errors(axes, moved, colour, marker, label=label)
    _curve(axes, start, "#333333", "-")
    held = sorted({round(p.x) for points in (start, *lines.values()) for p in points})
    names = {-1: "base", 0: "bootstrap"}
    axes.set_xticks(held, [names.get(x, f"iteration {x}") for x in held])
    axes.set_xlim(held[0] - 0.4, held[-1] + 0.4)
    axes.set_ylabel("score on held-out prompts of taught kinds, %")
    axes.legend(fontsize=9, frameon=False)
    return _png(figure)


def by_responses(results: Results) -> bytes | None:
    """Draw the score of each decoder against the responses it made for a prompt.

    None where nothing was measured yet. Where a decoder does not say how many responses it made,
    the number it was allowed stands instead.
    """
    lines: dict[str, list[Point]] = {}
    for case in decoding_cases(results):
        found = results.pooled(case)
        made = results.responses.get(case)
        x = statistics.fmean(made.values()) if made else float(case.responses)
        if found:
            lines.setdefault(case.decoder, []).append(Point(x, found))
    if not lines:
        return None
    figure, axes = _axes()
    for number, (decoder, points) in enumerate(lines.items()):
        colour, marker, dashes = _STYLES[number % len(_STYLES)]
        ordered = sorted(points, key=lambda point: point.x)
        _curve(axes, ordered, colour, dashes)
        _errors(axes, ordered, colour, marker, label=DECODERS.get(decoder, decoder))
    axes.set_xlabel("responses made for a prompt, mean")
    axes.set_ylabel("score, %")
    axes.legend(fontsize=9, frameon=False)
    return _png(figure)


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.yaxis.set_major_locator(MaxNLocator(7))
    return figure, axes


def _curve(axes: Axes, points: Sequence[Point], colour: str, dashes: str) -> None:
    axes.plot(
        [point.x for point in points],
        [100 * point.figure.value for point in points],
        color=colour,
        linestyle=dashes,
        linewidth=1.5,
        zorder=2,
    )


def _errors(axes: Axes, points: Sequence[Point], colour: str, marker: str, *, label: str) -> None:
    """Points with their intervals of 95 %, and single seeds as light dots where there are some."""
    if not points:
        return
    values = [point.figure.value for point in points]
    # The interval is of the merged seeds; with seeds of unequal size their mean may lie outside.
    below = [max(0.0, point.figure.value - point.figure.low) for point in points]
    above = [max(0.0, point.figure.high - point.figure.value) for point in points]
    axes.errorbar(
        [point.x for point in points],
        [100 * value for value in values],
        yerr=[[100 * size for size in side] for side in (below, above)],
        fmt=marker,
        color=colour,
        markersize=6,
        capsize=3,
        linewidth=1.25,
        label=as_text(label).replace("$", r"\$"),
        zorder=3,
    )
    for point in points:
        seeds = list(point.figure.by_seed.values())
        if len(seeds) > 1:
            heights = [100 * value for value in seeds]
            axes.scatter([point.x] * len(seeds), heights, 16, color=colour, alpha=0.35, zorder=1)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
