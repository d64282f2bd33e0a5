"""Figures pooled over seeds: a score with its interval, and the difference of two scores.

A score is the mean over the seeds. Its interval is over prompts: what the seeds' models did with
one prompt is added up to one unit, and the units are drawn anew (`evaluation.intervals`). It
therefore says how far another set of prompts might move the score, and nothing of another seed; the
standard deviation over seeds stands beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.intervals import difference, interval
from schemas.evaluations import Part, Unit

Units = Sequence[Unit]
BySeed = Mapping[int, Units]
"""The units of one figure by the seed of the training they measure."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """A figure over all seeds.

    low, high: the interval of 95 % over prompts. by_seed: the figure of each seed.
    """

    value: float
    low: float
    high: float
    by_seed: Mapping[int, float]

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None with fewer than two."""
        values = list(self.by_seed.values())
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, slots=True)
class Paired:
    """How much larger the second of two figures is, on the prompts that both have.

    low, high: the interval of 95 % over prompts. p: of the paired bootstrap, two-sided.
    units: the number of prompts. by_seed: the difference in each seed that both have.
    """

    value: float
    low: float
    high: float
    p: float
    units: int
    by_seed: Mapping[int, float]


def pooled(by_seed: BySeed) -> Pooled | None:
    """Return the figure over all seeds; None where no seed has a unit."""
    held = {seed: units for seed, units in by_seed.items() if units}
    found = interval(merged(held.values()))
    if found is None:
        return None
    values = {seed: ratio(units) for seed, units in sorted(held.items())}
    return Pooled(statistics.fmean(values.values()), found.low, found.high, values)


def paired(first: BySeed, second: BySeed) -> Paired | None:
    """Return how much larger the second figure is than the first.

    Seeds and prompts that only one side has do not count, so that a seed that is still being
    measured does not shift the difference. None where nothing is shared.
    """
    before: dict[int, list[Unit]] = {}
    after: dict[int, list[Unit]] = {}
    for seed in sorted(first.keys() & second.keys()):
        one, other = ({unit.key: unit for unit in side[seed]} for side in (first, second))
        keys = sorted(one.keys() & other.keys())
        if keys:
            before[seed] = [one[key] for key in keys]
            after[seed] = [other[key] for key in keys]
    found = difference(merged(before.values()), merged(after.values()))
    if found is None:
        return None
    by_seed = {seed: ratio(after[seed]) - ratio(before[seed]) for seed in before}
    return Paired(found.value, found.low, found.high, found.p, found.units, by_seed)


def merged(seeds: Iterable[Units]) -> list[Unit]:
    """Add the units of several seeds up to one unit for each key."""
    sums: dict[str, list[Part]] = {}
    for units in seeds:
        for unit in units:
            held = sums.get(unit.key)
            sums[unit.key] = (
                list(unit.parts)
                if held is None
                else [
                    Part(a.over + b.over, a.under + b.under)
                    for a, b in zip(held, unit.parts, strict=True)
                ]
            )
    return [Unit(key, parts) for key, parts in sums.items()]


def ratio(units: Units) -> float:
    """Return the figure of some units: the mean over the parts of sum(over) / sum(under)."""
    parts = zip(*(unit.parts for unit in units), strict=True)
    sums = [(sum(p.over for p in part), sum(p.under for p in part)) for part in parts]
    return statistics.fmean(over / under if under > 0 else 0.0 for over, under in sums)


def excess(first: Units, second: Units) -> list[Unit]:
    """Return units whose figure is the second figure less the first, on the keys that both have.

    Both sides have one part a unit. A unit weighs what it weighs in the first figure, so that the
    units of two such differences can be compared with each other in turn.
    """
    others = {unit.key: unit for unit in second}
    made = []
    for unit in first:
        other = others.get(unit.key)
        if other is None:
            continue
        [part], [more] = unit.parts, other.parts
        if part.under > 0 and more.under > 0:
            over = more.over / more.under * part.under - part.over
            made.append(Unit(unit.key, [Part(over, part.under)]))
    return made
