"""What a comparison says in tables, as text for a terminal and a page alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from inspection.compare.systems import Name, Results, System
from schemas.evaluations import Evaluation
from terminal.text import as_text

if TYPE_CHECKING:
    from inspection.compare.differences import Against

MISSING = " !"
"""Stands behind a figure of which some items have no score."""

_NONE = "–"


class Table(NamedTuple):
    """A table whose first column says whose a row is."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def scores(results: Results, called: dict[System, str]) -> Table:
    """A row for each system, a column for each figure; what an item cost where it is known."""
    names = results.names()
    costs = {system: _costs(found) for system, found in results.found.items()}
    has_costs = any(any(cost is not None for cost in pair) for pair in costs.values())
    head = ["", *(as_text(name.metric) for name in names)]
    head += ["responses an item", "tokens an item"] if has_costs else []
    rows = []
    for system, found in results.found.items():
        row = [called[system], *(score(found.get(name)) for name in names)]
        row += [_cost(cost) for cost in costs[system]] if has_costs else []
        rows.append(row)
    return Table(as_text(results.benchmark), head, rows)


def parts(results: Results, called: dict[System, str]) -> Table | None:
    """A row for each figure of a part, a column for each system."""
    names = results.names(parts=True)
    if not names:
        return None
    rows = [
        [_figure(name), *(score(held.get(name)) for held in results.found.values())]
        for name in names
    ]
    head = ["", *(called[system] for system in results.systems)]
    return Table(f"{as_text(results.benchmark)}, by part", head, rows)


def differences(
    results: Results, called: dict[System, str], held: Sequence[Against], *, of: str = ""
) -> Table | None:
    """How much more than the first system others have; None where there are no others."""
    if not held:
        return None
    base = called[results.systems[0]]
    head = ["", "figure", "difference", "95 %", "p", "McNemar p", "won", "lost", "shared units"]
    rows = [[called[each.system], _figure(each.name), *_tested(each)] for each in held]
    return Table(f"{as_text(results.benchmark)}{of}, more than {base}", head, rows)


def kindness(called: dict[System, str], held: Sequence[Against]) -> Table | None:
    """How much more of its own refinements a refiner lets pass than others do."""
    if not held:
        return None
    head = [
        *("", "beside", "more passes", "95 %", "p", "McNemar p"),
        *("it alone says Yes", "it alone says No", "shared units"),
    ]
    rows = [[called[each.system], each.name.metric, *_tested(each)] for each in held]
    return Table("What a refiner says of its own refinements", head, rows)


def score(figure: Evaluation | None) -> str:
    """A figure with its interval, and of how many items it is."""
    if figure is None:
        return _NONE
    of = f"{figure.scored:,} of {figure.items:,}"
    mark = MISSING if figure.scored < figure.items else ""
    return f"{value(figure)}, {of}{mark}"


def value(figure: Evaluation) -> str:
    """A figure with its interval."""
    if figure.value is None:
        return _NONE
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _figure(name: Name) -> str:
    return as_text(f"{name.part} · {name.metric}" if name.part else name.metric)


def _tested(held: Against) -> list[str]:
    found = held.difference
    if found is None:
        return [_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, "0"]
    has_sides = found.mcnemar is not None
    return [
        f"{found.value:+.3f}",
        f"[{found.low:+.3f}, {found.high:+.3f}]",
        _p(found.p),
        _NONE if found.mcnemar is None else _p(found.mcnemar),
        f"{found.gained:,}" if has_sides else _NONE,
        f"{found.lost:,}" if has_sides else _NONE,
        f"{found.units:,}",
    ]


def _p(chance: float) -> str:
    return "<0.001" if chance < 0.001 else f"{chance:.3f}"


def _costs(found: dict[Name, Evaluation]) -> tuple[float | None, float | None]:
    """Responses and tokens an item, as the first figure of all of the benchmark has them."""
    whole = next((figure for name, figure in found.items() if not name.part), None)
    return (whole.responses, whole.tokens) if whole else (None, None)


def _cost(cost: float | None) -> str:
    return _NONE if cost is None else f"{cost:,.1f}"
