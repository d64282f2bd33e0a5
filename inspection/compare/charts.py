"""What a comparison draws: a score against what an item costs, and a refiner's word of itself.

Drawn as the report's charts are. Every point says in words what it shows; names are made harmless
for a terminal (`systems.called`), and the library escapes them for the page.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from markupsafe import Markup

from inspection.compare.differences import JUDGE, PROGRAM, REFINEMENT, SELF
from inspection.compare.systems import Name, Results, System, called
from inspection.compare.tables import value
from inspection.report.charts import APART, svg
from inspection.report.series import Rows
from schemas.evaluations import Evaluation
from terminal.text import as_text

_SIZE = {"width": 390, "height": 230}
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
"""Fewer than the colours and prime to them, so that thirty lines are told apart."""

_COSTS = {"responses": "responses generated an item", "tokens": "tokens an item"}


def against_cost(results: Results, name: str) -> dict[str, Markup]:
    """The first figure against responses and against tokens an item, a line for each decoder.

    A line is of one run, iteration and model; its points differ in variant, budget or votes. There
    is no chart where fewer than two points differ in cost.

    Args:
        name: the charts' own in the page.
    """
    drawn = {}
    for column, title in _COSTS.items():
        values = _points(results, column, title)
        if len({point["x"] for point in values}) > 1:
            x = {"field": "x", "type": "quantitative", "title": title, "axis": {"tickCount": 6}}
            spec = _lines(values, x, values[0]["of"])
            drawn[column] = svg(f"{name}-{column}", spec)
    return drawn


def _points(results: Results, column: str, title: str) -> Rows:
    head = results.headline
    costly: list[tuple[System, float, Evaluation]] = []
    for system, found in results.found.items():
        figure = found.get(head) if head else None
        cost = getattr(figure, column, None)
        if figure is not None and figure.value is not None and cost is not None:
            costly.append((system, float(cost), figure))
    lines = called({_line(system) for system, _, _ in costly}, always=("decoder",))
    points = [
        {
            **_point(figure, lines[_line(system)]),
            "x": cost,
            "of": as_text(figure.metric),
            "says": f"{lines[_line(system)]}, budget {system.budget}, votes {system.votes}: "
            f"{value(figure)} at {cost:,.1f} {title}",
        }
        for system, cost, figure in costly
    ]
    return sorted(points, key=lambda point: point["x"])


def _line(system: System) -> System:
    """What the points of one line have in common."""
    return replace(system, variant="", votes=0, budget=0)


def bias(results: Results, name: str) -> list[tuple[str, Markup]]:
    """What is said of refinements over iterations, by the refiner, a judge and a program: whose
    they are and a chart for each."""
    if results.benchmark != REFINEMENT:
        return []
    groups: dict[System, Rows] = {}
    for system, found in results.found.items():
        for who in (SELF, JUDGE, PROGRAM):
            figure = found.get(Name(who, ""))
            if figure is not None and figure.value is not None:
                says = f"iteration {system.iteration}, {who}: {value(figure)}"
                point = {**_point(figure, who), "x": system.iteration, "says": says}
                groups.setdefault(replace(system, iteration=0, model=""), []).append(point)
    whose = called(groups)
    x = {
        "field": "x",
        "type": "ordinal",
        "title": "iteration",
        "axis": {"labelAngle": 0},
        "scale": {"paddingInner": 0.4},
    }
    return [
        (whose[group], svg(f"{name}-bias-{number}", _lines(points, x, "share that passes")))
        for number, (group, points) in enumerate(groups.items())
    ]


def _point(figure: Evaluation, series: str) -> dict[str, Any]:
    has_bounds = figure.low is not None and figure.high is not None
    return {
        "series": series,
        "y": figure.value,
        "low": figure.low if has_bounds else figure.value,
        "high": figure.high if has_bounds else figure.value,
    }


def _lines(values: Rows, x: dict[str, Any], title: str) -> dict[str, Any]:
    """A line for each series, with its points and their intervals."""
    series = list(dict.fromkeys(point["series"] for point in values))
    y = {"field": "y", "type": "quantitative", "title": title, "scale": {"zero": False}}
    count = range(len(series))
    colours = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": series, "range": [APART[n % len(APART)] for n in count]},
        "legend": {"columns": 1 if max(map(len, series)) > 24 else 3},
    }
    shapes = {
        **colours,
        "scale": {"domain": series, "range": [_SHAPES[n % len(_SHAPES)] for n in count]},
    }
    return {
        **_SIZE,
        "data": {"values": values},
        "encoding": {"x": x, "color": colours},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2, "aria": False}, "encoding": {"y": y}},
            {
                "mark": {"type": "rule", "strokeWidth": 1.25, "aria": False},
                "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"y": y, "shape": shapes, "description": {"field": "says"}},
            },
        ],
    }
