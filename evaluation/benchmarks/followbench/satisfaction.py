"""FollowBench's figures: hard and soft satisfaction rate, and consistent satisfaction levels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evaluation.benchmark import Figure, Finding, Scored
from evaluation.benchmarks.followbench.chains import CATEGORIES, LEVELS
from schemas.evaluations import Part, Unit
from schemas.items import Item


class _Place(NamedTuple):
    """Whose level a value is of."""

    category: str
    example: str
    level: int


_Values = Mapping[_Place, float | None]
"""None where something could not be decided, or nothing was."""


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """`hsr`, `ssr` and `csl`.

    hsr: share of the answers that meet all constraints. ssr: the mean share of its constraints that
    an answer meets. Of all, of a level, of a category, and of both; where levels or categories come
    together, the figure is the mean of theirs, as in the authors' tables.
    csl: how many levels in a row, from 1, are met in full: 0 to 5, not a share. Chains of which a
    level could not be decided are left out with all their levels.
    Units are the chains, so that intervals take an example's levels together.
    """
    soft = {_place(each.item): _share(each.findings) for each in scored}
    hard = {place: None if share is None else float(share == 1) for place, share in soft.items()}
    return [*_rates("hsr", hard), *_rates("ssr", soft), *_lengths(hard)]


def _place(item: Item) -> _Place:
    category, example, level = item.key.split("/")
    return _Place(category, example, int(level))


def _share(findings: Sequence[Finding]) -> float | None:
    values = [found.value for found in findings if found.metric == "met"]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _rates(metric: str, values: _Values) -> Iterator[Figure]:
    levels = [level for level in LEVELS if any(place.level == level for place in values)]
    yield _mean(metric, "", values)
    for level in levels:
        yield _mean(metric, f"level {level}", _of(values, level=level))
    for category in _categories(values):
        yield _mean(metric, category, _of(values, category))
    for category in _categories(values):
        for level in levels:
            yield _mean(metric, f"{category}, level {level}", _of(values, category, level))


def _lengths(hard: _Values) -> Iterator[Figure]:
    chains: dict[tuple[str, str], dict[int, float | None]] = {}
    for place, met in hard.items():
        chains.setdefault((place.category, place.example), {})[place.level] = met
    values = {_Place(*chain, 0): _length(levels) for chain, levels in chains.items()}
    for category in ("", *_categories(hard)):
        figure = _mean("csl", category, _of(values, category))
        items = len(_of(hard, category))
        yield replace(figure, scored=figure.scored * len(LEVELS), items=items)


def _length(levels: Mapping[int, float | None]) -> float | None:
    met = [levels.get(level) for level in LEVELS]
    return None if None in met else float(len([*itertools.takewhile(bool, met)]))


def _categories(values: _Values) -> list[str]:
    return [name for name in CATEGORIES if any(place.category == name for place in values)]


def _of(values: _Values, category: str = "", level: int = 0) -> _Values:
    return {
        place: value
        for place, value in values.items()
        if category in ("", place.category) and level in (0, place.level)
    }


def _mean(metric: str, part: str, values: _Values) -> Figure:
    """The mean over categories and levels of the mean value in each."""
    known = {place: value for place, value in values.items() if value is not None}
    cells = sorted({(place.category, place.level) for place in known})
    chains: dict[str, dict[tuple[str, int], float]] = {}
    for place, value in known.items():
        chain = chains.setdefault(f"{place.category}/{place.example}", {})
        chain[place.category, place.level] = value
    units = [
        Unit(key, [Part(chain.get(cell, 0.0), float(cell in chain)) for cell in cells])
        for key, chain in chains.items()
    ]
    return Figure(metric, part, units, len(known), len(values))
