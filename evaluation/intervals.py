"""Intervals of a figure and tests of two, both by drawing the units anew (scipy).

The same units give the same numbers, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from schemas.evaluations import Unit

LEVEL = 0.95
_DRAWS = 2000
_SEED = 0

Units = Sequence[Unit]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger the second of two figures is, on the units that both have.

    p: of the paired bootstrap, two-sided. mcnemar: the exact test of McNemar, None where units are
    not met or missed as a whole. gained, lost: units that the second alone has, or the first.
    """

    units: int
    value: float
    low: float
    high: float
    p: float
    mcnemar: float | None
    gained: int
    lost: int


def interval(units: Units) -> Interval | None:
    """The figure of some units and its interval; None without any."""
    if not units:
        return None
    parts = _parts(sorted(units, key=lambda unit: unit.key))
    value = float(_figure(parts.sum(axis=0)))
    if len(units) == 1:
        return Interval(value, value, value)
    low, high = _bounds(_figures(parts, _drawn(len(units))))
    return Interval(value, low, high)


def difference(first: Units, second: Units) -> Difference | None:
    """The second figure less the first, paired by the units' keys; None where they share none."""
    one, other = ({unit.key: unit for unit in units} for units in (first, second))
    keys = sorted(one.keys() & other.keys())
    if not keys:
        return None
    before, after = (_parts([some[key] for key in keys]) for some in (one, other))
    value = float(_figure(after.sum(axis=0)) - _figure(before.sum(axis=0)))
    drawn = _drawn(len(keys))
    differences = _figures(after, drawn) - _figures(before, drawn)
    low, high = _bounds(differences)
    gained = lost = 0
    mcnemar = None
    if _is_all_or_nothing(before) and _is_all_or_nothing(after):
        met, now_met = before[:, 0, 0] > 0, after[:, 0, 0] > 0
        gained, lost = int((~met & now_met).sum()), int((met & ~now_met).sum())
        changed = gained + lost
        mcnemar = float(stats.binomtest(gained, changed).pvalue) if changed else 1.0
    return Difference(len(keys), value, low, high, _p(differences), mcnemar, gained, lost)


def _parts(units: Units) -> np.ndarray:
    """Units x parts x (over, under)."""
    return np.array([[(part.over, part.under) for part in unit.parts] for unit in units], float)


def _figures(parts: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The figure of each draw; one draw after the other, as all at once may not fit in memory."""
    return _figure(np.array([parts[some].sum(axis=0) for some in drawn]))


def _figure(sums: np.ndarray) -> np.ndarray:
    """The mean over the parts of the ratio of their sums over the units: ... x parts x 2."""
    over, under = sums[..., 0], sums[..., 1]
    ratios = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
    found: np.ndarray = ratios.mean(axis=-1)
    return found


def _drawn(count: int) -> np.ndarray:
    """Numbers of the units of each draw."""
    return np.random.default_rng(_SEED).integers(0, count, (_DRAWS, count))


def _bounds(figures: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _p(differences: np.ndarray) -> float:
    """How often a draw says the contrary, two-sided; never 0, as no number of draws shows that."""
    below, above = (differences <= 0).sum(), (differences >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1)))


def _is_all_or_nothing(parts: np.ndarray) -> bool:
    over, under = parts[..., 0], parts[..., 1]
    return bool(parts.shape[1] == 1 and (under == 1).all() and np.isin(over, (0, 1)).all())
