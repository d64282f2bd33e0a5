"""The charts of a report: Vega-Lite specifications, drawn as SVG in the page's colours.

No text of the run goes into a chart. Colours are CSS variables, so that they follow the theme, and
every bar says in words what it shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import vl_convert
from markupsafe import Markup

from inspection.report.figures import Rows

_WIDTH = 420
"""Of a chart's plot and the labels left of it, in pixels."""

_ITERATIONS = [f"var(--c{number})" for number in range(1, 7)]
_STAGES = [f"var(--s{number})" for number in range(1, 4)]
_TEXT = {
    "labelColor": "var(--soft)",
    "titleColor": "var(--soft)",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "labelLimit": 220,
}
_CONFIG = {
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        "domain": False,
        "ticks": False,
        "gridColor": "var(--line)",
        "labelPadding": 6,
        "titlePadding": 10,
    },
    "axisBand": {"grid": False},
    "legend": {**_TEXT, "orient": "top", "title": None, "symbolType": "square", "offset": 8},
    "header": {
        **_TEXT,
        "title": None,
        "labelAngle": 0,
        "labelOrient": "top",
        "labelAnchor": "start",
        "labelPadding": 4,
    },
    "facet": {"spacing": 6},
}


def charts(figures: dict[str, Rows]) -> dict[str, Markup]:
    """A chart for each figure that has rows, by name."""
    specs = {
        "steps": _steps(figures["steps"]),
        "verdicts": _verdicts(figures["steps"]),
        "tokens": _tokens(figures["tokens"]),
        "depths": _depths(figures["depths"]),
        "similarity": _histogram(
            figures["similarity"], "similarity of the two sides", "pairs", 1 / 40
        ),
        "chosen_value": _histogram(
            figures["chosen_value"], "share of Yes for the chosen side", "pairs", 0.1
        ),
        "longer_by": _histogram(figures["longer_by"], "characters, chosen minus rejected", "pairs"),
        "length": _histogram(figures["length"], "characters", "pairs", by="side"),
        "search_tokens": _histogram(figures["search_tokens"], "tokens", "searches"),
        "response_tokens": _histogram(figures["response_tokens"], "tokens", "responses"),
        "yes_share": _histogram(
            figures["yes_share"], "share of Yes among the votes", "responses", 0.1
        ),
        "node_yes_share": _histogram(
            figures["node_yes_share"], "share of Yes among the votes", "refinements", 0.1
        ),
    }
    return {name: _svg(name, spec) for name, spec in specs.items() if spec["data"]["values"]}


def _svg(name: str, spec: dict[str, Any]) -> Markup:
    whole = {"background": None, "config": _CONFIG, "padding": 2, **spec}
    drawn = vl_convert.vegalite_to_svg(whole, allowed_base_urls=[])
    # The library counts ids on from chart to chart; a report of the same run is the same file.
    for number, label in enumerate(re.findall(r'id="(clip\d+)"', drawn)):
        drawn = re.sub(rf"\b{label}\b", f"{name}-{number}", drawn)
    return Markup(drawn)  # noqa: S704 (numbers, and words of this file)


def _steps(rows: Rows) -> dict[str, Any]:
    steps = {
        "prompts": "prompts",
        "trees": "with a failing response",
        "solved": "refined until it passed",
        "pairs": "gave a pair",
    }
    values = [
        {
            "y": name,
            "x": row[column],
            "iteration": row["iteration"],
            "says": f"iteration {row['iteration']}, {name}: {row[column]:,}",
        }
        for row in rows
        for column, name in steps.items()
    ]
    return _beside(values, "prompts", order=list(steps.values()))


def _depths(rows: Rows) -> dict[str, Any]:
    values = [
        {
            "y": f"after {row['depth']} refinement{'s' * (row['depth'] != 1)}",
            "x": row["share"],
            "iteration": row["iteration"],
            "says": f"iteration {row['iteration']}, solved after {row['depth']}: "
            f"{row['trees']:,} searches, {row['share']:.1%} of all",
        }
        for row in sorted(rows, key=lambda row: int(row["depth"]))
    ]
    order = list(dict.fromkeys(value["y"] for value in values))
    return _beside(values, "share of all searches", order=order, number=".0%")


def _beside(
    values: Sequence[dict[str, Any]], title: str, *, order: list[str], number: str = "~s"
) -> dict[str, Any]:
    """Bars side by side, one for each iteration."""
    several = len({value["iteration"] for value in values}) > 1
    offset = {"field": "iteration", "type": "ordinal", "scale": {"paddingInner": 0.1}}
    return {
        "width": _WIDTH - 170,
        "height": {"step": 13, "for": "offset"} if several else {"step": 34},
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadiusEnd": 3},
        "encoding": {
            "y": {
                "field": "y",
                "type": "nominal",
                "sort": order,
                "title": None,
                "axis": {"minExtent": 160},
            },
            **({"yOffset": offset} if several else {}),
            "x": _amount("x", title, number),
            "color": _by_iteration(several, {"labelExpr": "'iteration ' + datum.label"}),
            "description": {"field": "says"},
        },
    }


def _verdicts(rows: Rows) -> dict[str, Any]:
    kinds = {"yes": "Yes", "no": "No", "undecided": "undecided"}
    values = [
        {
            "iteration": row["iteration"],
            "kind": name,
            "place": place,
            "x": row[column],
            "says": f"iteration {row['iteration']}, {name}: {row[column]:,} responses, "
            f"{row[column] / max(1, sum(row[kind] for kind in kinds)):.1%}",
        }
        for row in rows
        for place, (column, name) in enumerate(kinds.items())
        if row[column]
    ]
    colours = ["var(--good)", "var(--bad)", "var(--dull)"]
    return _stacked(values, "responses", list(kinds.values()), colours)


def _tokens(rows: Rows) -> dict[str, Any]:
    names = {"sample": "sample", "judge": "judge", "tree_search": "tree search"}
    values = [
        {
            "iteration": row["iteration"],
            "kind": name,
            "place": place,
            "x": row["completion_tokens"],
            "says": f"iteration {row['iteration']}, {name}: {row['completion_tokens']:,} tokens",
        }
        for row in rows
        for place, (stage, name) in enumerate(names.items())
        if row["stage"] == stage
    ]
    return _stacked(values, "tokens written", list(names.values()), _STAGES)


def _stacked(
    values: Sequence[dict[str, Any]], title: str, kinds: list[str], colours: list[str]
) -> dict[str, Any]:
    """A bar for each iteration, made of its kinds."""
    return {
        "width": _WIDTH - 80,
        "height": {"step": 34},
        "data": {"values": values},
        "transform": [{"calculate": "'iteration ' + datum.iteration", "as": "y"}],
        "mark": {"type": "bar"},
        "encoding": {
            "y": {
                "field": "y",
                "type": "nominal",
                "sort": {"field": "iteration"},
                "title": None,
                "axis": {"minExtent": 80},
            },
            "x": _amount("x", title, "~s"),
            "color": {
                "field": "kind",
                "type": "nominal",
                "scale": {"domain": kinds, "range": colours[: len(kinds)]},
            },
            "order": {"field": "place"},
            "description": {"field": "says"},
        },
    }


def _histogram(
    rows: Rows, title: str, of: str, width: float | None = None, by: str = "iteration"
) -> dict[str, Any]:
    """Shares of all by a quantity: a row of bars for each iteration (or each of another kind).

    Args:
        width: of a bar, where the rows do not tell; 0.1 is a rounded number, its bar centred.
    """
    sums: dict[Any, int] = {}
    for row in rows:
        sums[row[by]] = sums.get(row[by], 0) + row["n"]
    step = width or (rows[0]["width"] if rows else 1)
    shift = step / 2 if width == 0.1 else 0
    values: list[dict[str, Any]] = [
        {
            "row": f"iteration {row[by]}" if by == "iteration" else row[by],
            by: row[by],
            "from": row["bin"] - shift + step * 0.04,
            "to": row["bin"] - shift + step * 0.96,
            "share": row["n"] / sums[row[by]],
            "says": f"{by + ' ' if by == 'iteration' else ''}{row[by]}, "
            + (
                f"{row['bin']:,.10g}"
                if shift
                else f"{row['bin']:,.10g} to {row['bin'] + step:,.10g}"
            )
            + f": {row['n']:,} {of}, {row['n'] / sums[row[by]]:.1%}",
        }
        for row in rows
    ]
    several = len(sums) > 1
    edges = [edge for value in values for edge in (value["from"], value["to"])]
    edges += [-shift, 1 + shift] if width else [0, 10 * step]
    return {
        "data": {"values": values},
        "transform": [{"calculate": "0", "as": "zero"}],
        "facet": {
            "row": {
                "field": "row",
                "type": "nominal",
                "sort": list(dict.fromkeys(value["row"] for value in values)),
            }
        },
        "spec": {
            "width": _WIDTH - 50,
            "height": max(36, 170 // max(1, len(sums))),
            "mark": {"type": "bar", "cornerRadiusEnd": 1},
            "encoding": {
                "x": {
                    "field": "from",
                    "type": "quantitative",
                    "title": title,
                    "scale": {"domain": [min(edges), max(edges)], "nice": False},
                    "axis": {"grid": False, "tickCount": 6},
                },
                "x2": {"field": "to"},
                "y": _amount("share", None, ".0%"),
                "y2": {"field": "zero"},
                "color": _by_iteration(several)
                if by == "iteration"
                else {
                    "field": by,
                    "type": "nominal",
                    "legend": None,
                    "scale": {"range": ["var(--good)", "var(--bad)"]},
                },
                "description": {"field": "says"},
            },
        },
    }


def _amount(name: str, title: str | None, number: str) -> dict[str, Any]:
    axis = {"format": number, "tickCount": 3 if title is None else 5}
    return {"field": name, "type": "quantitative", "title": title, "axis": axis}


def _by_iteration(several: bool, legend: dict[str, str] | None = None) -> dict[str, Any]:
    if not several:
        return {"value": _ITERATIONS[1]}
    return {
        "field": "iteration",
        "type": "ordinal",
        "scale": {"range": _ITERATIONS},
        "legend": legend,
    }
