"""Intervals and paired tests: known values, scipy's own, and how often intervals hold the truth."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from scipy import stats

from evaluation.intervals import Difference, difference, interval
from schemas.evaluations import Part, Unit


def met(values: Iterable[object]) -> list[Unit]:
    """Units met or missed as a whole."""
    return [Unit(f"u{n:04}", [Part(float(bool(value)), 1.0)]) for n, value in enumerate(values)]


def ratios(rows: Sequence[Sequence[tuple[float, float]]]) -> list[Unit]:
    """Units with several parts each."""
    return [Unit(f"u{n:04}", [Part(*part) for part in row]) for n, row in enumerate(rows)]


def test_nothing_has_no_figure() -> None:
    assert interval([]) is None
    assert difference([], met([1])) is difference(met([1]), []) is None
    assert difference(met([1]), [Unit("other", [Part(1, 1)])]) is None


def test_a_figure_is_the_ratio_of_sums() -> None:
    found = interval(ratios([[(1, 2)], [(3, 3)], [(0, 5)]]))
    assert found is not None
    assert found.value == 4 / 10
    assert found.low < found.value < found.high


def test_several_parts_are_averaged_after_they_are_summed() -> None:
    found = interval(ratios([[(1, 1), (1, 3)], [(0, 1), (2, 3)], [(0, 1), (3, 3)]]))
    assert found is not None
    assert found.value == pytest.approx((1 / 3 + 6 / 9) / 2)


def test_a_part_without_anything_counts_as_nothing() -> None:
    found = interval(ratios([[(1, 1), (0, 0)], [(1, 1), (0, 0)]]))
    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_one_unit_and_units_that_agree_have_no_width() -> None:
    one, same = interval(ratios([[(2, 3)]])), interval(met([1] * 30))
    assert one is not None and same is not None
    assert one.low == one.value == one.high == 2 / 3
    assert same.low == same.value == same.high == 1


def test_an_interval_is_that_of_scipys_bootstrap() -> None:
    rng = np.random.default_rng(3)
    under = rng.integers(1, 4, 90)
    over = rng.binomial(under, 0.6)

    def figure(over: np.ndarray, under: np.ndarray, axis: int = -1) -> np.ndarray:
        ratio: np.ndarray = over.sum(axis=axis) / under.sum(axis=axis)
        return ratio

    expected = stats.bootstrap(
        (over, under),
        figure,
        n_resamples=4000,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = interval(ratios([[(float(o), float(u))] for o, u in zip(over, under, strict=True)]))
    assert found is not None
    assert found.low == pytest.approx(expected.low, abs=0.012)
    assert found.high == pytest.approx(expected.high, abs=0.012)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(120):
        found = interval(met(rng.random(80) < 0.6))
        assert found is not None
        held += found.low <= 0.6 <= found.high
    assert 0.88 <= held / 120 <= 0.99


def test_the_order_of_the_units_is_nothing() -> None:
    rng = np.random.default_rng(5)
    first, second = met(rng.random(50) < 0.5), met(rng.random(50) < 0.6)
    shuffled = [first[n] for n in rng.permutation(50)]
    assert interval(shuffled) == interval(first)
    assert difference(shuffled, second) == difference(first, second)


def test_a_difference_is_paired_by_key() -> None:
    first = met([1, 0, 1, 0])
    second = [*reversed(met([1, 1, 1, 1])), Unit("more", [Part(0, 1)])]
    found = difference([*first, Unit("less", [Part(1, 1)])], second)
    assert found is not None
    assert (found.units, found.value, found.gained, found.lost) == (4, 0.5, 2, 0)


def test_pairing_takes_out_what_units_share() -> None:
    """Prompts differ far more than the two systems do: only the pairs show the difference."""
    hard = np.arange(200) % 2
    second = hard.copy()
    second[np.flatnonzero(hard == 0)[:12]] = 1
    alone = interval(met(hard))
    found = difference(met(hard), met(second))
    assert alone is not None and found is not None
    assert found.value == pytest.approx(0.06)
    assert 0 < found.low < found.high < 0.1 < alone.high - alone.low
    assert found.p < 0.01


@pytest.mark.parametrize(("gained", "lost"), [(9, 1), (1, 9), (5, 5), (4, 0), (0, 0)])
def test_mcnemar_is_a_binomial_test_of_what_changed(gained: int, lost: int) -> None:
    before = [0] * gained + [1] * lost + [1, 0] * 10
    after = [1] * gained + [0] * lost + [1, 0] * 10
    found = difference(met(before), met(after))
    assert found is not None
    assert (found.gained, found.lost) == (gained, lost)
    changed = gained + lost
    expected = stats.binomtest(gained, changed).pvalue if changed else 1.0
    assert found.mcnemar == pytest.approx(expected)
    assert found.value == pytest.approx((gained - lost) / len(before))


def test_the_two_tests_agree_roughly() -> None:
    rng = np.random.default_rng(8)
    before = rng.random(300) < 0.5
    after = np.where(rng.random(300) < 0.2, rng.random(300) < 0.75, before)
    found = difference(met(before), met(after))
    assert found is not None and found.mcnemar is not None
    assert 0.001 < found.mcnemar < 0.2
    assert found.p == pytest.approx(found.mcnemar, abs=0.05)


def test_fractions_have_no_mcnemar() -> None:
    halves = ratios([[(1, 2)], [(2, 2)]])
    several = ratios([[(1, 1), (1, 1)], [(0, 1), (1, 1)]])
    for units in (halves, several):
        found = difference(units, units)
        assert found is not None
        assert (found.mcnemar, found.gained, found.lost) == (None, 0, 0)
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_contrary_is_the_same_with_the_sign_turned() -> None:
    rng = np.random.default_rng(2)
    one, other = met(rng.random(60) < 0.4), met(rng.random(60) < 0.7)
    there, back = difference(one, other), difference(other, one)
    assert there is not None and back is not None
    turned = Difference(
        back.units, -back.value, -back.high, -back.low, back.p, back.mcnemar, back.lost, back.gained
    )
    assert (there.value, there.p, there.mcnemar) == (turned.value, turned.p, turned.mcnemar)
    assert (there.gained, there.lost) == (turned.gained, turned.lost)
    assert (there.low, there.high) == pytest.approx((turned.low, turned.high))


def test_no_difference_is_certain() -> None:
    found = difference(met([0] * 40), met([1] * 40))
    assert found is not None
    assert 0 < found.p < 0.002


def test_many_units_take_little_memory() -> None:
    """The draws of 40,000 prompts and four parts would be 5 GB at once, those of 500 are 64 MB."""
    units = ratios([[(1, 1)] * 4] * 500)
    tracemalloc.start()
    try:
        assert interval(units) is not None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 24_000_000
