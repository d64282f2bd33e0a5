"""The charts of a report: Vega-Lite specifications, drawn as SVG in the page's colours.

No text of the run goes into a chart. Colours are CSS variables, so that they follow the theme, and
every bar says in words what it shows.
"""

from __future__ import annotations

import re
from typing import Any

import vl_convert
from markupsafe import Markup

from inspection.report.series import Rows, Series, names

_WIDTH = 420
"""Of a chart's plot and the labels left of it, in pixels."""

_LABEL = 220
"""Longer labels are cut."""

_IN_TURN = [f"var(--c{number})" for number in range(1, 7)]
"""Colours of iterations, each a step on from the one before."""

APART = [f"var(--c{number})" for number in (2, 6, 5, 4, 1, 3)]
"""Colours of variants and methods, or of whatever else stands side by side."""

_STAGES = [f"var(--s{number})" for number in range(1, 4)]
_TEXT = {
    "labelColor": "var(--soft)",
    "titleColor": "var(--soft)",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "labelLimit": _LABEL,
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
    mixed = Series.of(figures["variants"]).mixed
    colours = APART if mixed else _IN_TURN
    rounds, kinds = (_coloured(figures[name], colours) for name in ("steps", "variants"))
    similarity, value, votes = (
        "similarity of the two sides",
        "value of the chosen side",
        "share of Yes among the votes",
    )
    longer = "characters, chosen minus rejected"
    specs = {
        "steps": _steps(figures["variants"], kinds),
        "verdicts": _verdicts(figures["steps"]),
        "tokens": _tokens(figures["tokens"]),
        "depths": _depths(figures["depths"], rounds),
        "similarity": _histogram(figures["similarity"], kinds, similarity, "pairs", 1 / 40),
        "chosen_value": _histogram(figures["chosen_value"], kinds, value, "pairs", 0.1),
        "longer_by": _histogram(figures["longer_by"], kinds, longer, "pairs"),
        "length": _lengths(figures["length"], mixed=mixed),
        "search_tokens": _histogram(figures["search_tokens"], rounds, "tokens", "searches"),
        "response_tokens": _histogram(figures["response_tokens"], rounds, "tokens", "responses"),
        "yes_share": _histogram(figures["yes_share"], rounds, votes, "responses", 0.1),
        "node_yes_share": _histogram(figures["node_yes_share"], rounds, votes, "refinements", 0.1),
    }
    return {name: svg(name, spec) for name, spec in specs.items() if spec["data"]["values"]}


def svg(name: str, spec: dict[str, Any]) -> Markup:
    """A specification drawn; `name` is the chart's own in its page."""
    whole = {"background": None, "config": _CONFIG, "padding": 2, **spec}
    drawn = vl_convert.vegalite_to_svg(whole, allowed_base_urls=[])
    # The library counts ids on from chart to chart; a report of the same run is the same file.
    for number, label in enumerate(re.findall(r'id="(clip\d+)"', drawn)):
        drawn = re.sub(rf"\b{label}\b", f"{name}-{number}", drawn)
    return Markup(drawn)  # noqa: S704 (numbers, and words of this file)


def _coloured(rows: Rows, colours: list[str]) -> dict[str, str]:
    """A colour for each series, the same in every chart of such rows."""
    of = names(rows)
    if len(of) == 1:
        return {of[0]: _IN_TURN[1]}
    return {name: colours[number % len(colours)] for number, name in enumerate(of)}


def _steps(rows: Rows, colours: dict[str, str]) -> dict[str, Any]:
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
            "series": row["series"],
            "says": f"{row['series']}, {name}: {row[column]:,}",
        }
        for row in rows
        for column, name in steps.items()
        if row[column] is not None
    ]
    return _beside(values, "prompts", colours, order=list(steps.values()))


def _depths(rows: Rows, colours: dict[str, str]) -> dict[str, Any]:
    values = [
        {
            "y": f"after {row['depth']} refinement{'s' * (row['depth'] != 1)}",
            "x": row["share"],
            "series": row["series"],
            "says": f"{row['series']}, solved after {row['depth']}: "
            f"{row['trees']:,} searches, {row['share']:.1%} of all",
        }
        for row in sorted(rows, key=lambda row: int(row["depth"]))
    ]
    order = list(dict.fromkeys(value["y"] for value in values))
    return _beside(values, "share of all searches", colours, order=order, number=".0%")


def _beside(
    values: Rows, title: str, colours: dict[str, str], *, order: list[str], number: str = "~s"
) -> dict[str, Any]:
    """Bars side by side, one for each series."""
    held = set(names(values))
    several = len(held) > 1
    offset = {
        "field": "series",
        "type": "nominal",
        "sort": [name for name in colours if name in held],
        "scale": {"paddingInner": 0.1},
    }
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
            "color": _by_series(values, colours, legend=several),
            "description": {"field": "says"},
        },
    }


def _verdicts(rows: Rows) -> dict[str, Any]:
    kinds = {"yes": "Yes", "no": "No", "undecided": "undecided"}
    values = [
        {
            "series": row["series"],
            "kind": name,
            "place": place,
            "x": row[column],
            "says": f"{row['series']}, {name}: {row[column]:,} responses, "
            f"{row[column] / max(1, sum(row[kind] for kind in kinds)):.1%}",
        }
        for row in rows
        for place, (column, name) in enumerate(kinds.items())
        if row[column]
    ]
    colours = ["var(--good)", "var(--bad)", "var(--dull)"]
    return _stacked(values, "responses", list(kinds.values()), colours)


def _tokens(rows: Rows) -> dict[str, Any]:
    stages = {"sample": "sample", "judge": "judge", "tree_search": "tree search"}
    values = [
        {
            "series": row["series"],
            "kind": name,
            "place": place,
            "x": row["completion_tokens"],
            "says": f"{row['series']}, {name}: {row['completion_tokens']:,} tokens",
        }
        for row in rows
        for place, (stage, name) in enumerate(stages.items())
        if row["stage"] == stage and row["completion_tokens"] is not None
    ]
    return _stacked(values, "tokens written", list(stages.values()), _STAGES)


def _stacked(values: Rows, title: str, kinds: list[str], colours: list[str]) -> dict[str, Any]:
    """A bar for each series, made of its kinds."""
    labels = max((7 * len(name) for name in names(values)), default=80)
    extent = max(80, min(labels, _LABEL))
    return {
        "width": _WIDTH - extent,
        "height": {"step": 34},
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {
                "field": "series",
                "type": "nominal",
                "sort": names(values),
                "title": None,
                "axis": {"minExtent": extent},
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


def _lengths(rows: Rows, *, mixed: bool) -> dict[str, Any]:
    """Both sides' lengths, those of all iterations together unless pairs differ in more."""
    colours = {}
    held: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows:
        side = f"{row['side']}, {row['series']}" if mixed else row["side"]
        colours[side] = "var(--good)" if row["side"] == "chosen" else "var(--bad)"
        bar = held.setdefault((side, row["bin"]), {**row, "series": side, "n": 0})
        bar["n"] += row["n"]
    bars = sorted(held.values(), key=lambda bar: (bar["series"].split(", ")[1:], bar["series"]))
    return _histogram(bars, colours, "characters", "pairs")


def _histogram(
    rows: Rows, colours: dict[str, str], title: str, of: str, width: float | None = None
) -> dict[str, Any]:
    """Shares of all by a quantity: a row of bars for each series.

    Args:
        width: of a bar, where the rows do not tell; 0.1 is a rounded number, its bar centred.
    """
    sums: dict[str, int] = {}
    for row in rows:
        sums[row["series"]] = sums.get(row["series"], 0) + row["n"]
    step = width or (rows[0]["width"] if rows else 1)
    shift = step / 2 if width == 0.1 else 0
    values: Rows = [
        {
            "series": row["series"],
            "from": row["bin"] - shift + step * 0.04,
            "to": row["bin"] - shift + step * 0.96,
            "share": row["n"] / sums[row["series"]],
            "says": f"{row['series']}, "
            + (
                f"{row['bin']:,.10g}"
                if shift
                else f"{row['bin']:,.10g} to {row['bin'] + step:,.10g}"
            )
            + f": {row['n']:,} {of}, {row['n'] / sums[row['series']]:.1%}",
        }
        for row in rows
    ]
    edges = [edge for value in values for edge in (value["from"], value["to"])]
    edges += [-shift, 1 + shift] if width else [0, 10 * step]
    return {
        "data": {"values": values},
        "transform": [{"calculate": "0", "as": "zero"}],
        "facet": {"row": {"field": "series", "type": "nominal", "sort": names(values)}},
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
                "color": _by_series(values, colours, legend=False),
                "description": {"field": "says"},
            },
        },
    }


def _amount(name: str, title: str | None, number: str) -> dict[str, Any]:
    axis = {"format": number, "tickCount": 3 if title is None else 5}
    return {"field": name, "type": "quantitative", "title": title, "axis": axis}


def _by_series(values: Rows, colours: dict[str, str], *, legend: bool) -> dict[str, Any]:
    held = set(names(values))
    shown = {name: colour for name, colour in colours.items() if name in held}
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": list(shown), "range": list(shown.values())},
        "legend": {"columns": 3 if max(map(len, shown), default=0) < 13 else 2} if legend else None,
    }
