"""Figures of several seeds: their mean, their interval over prompts, their paired difference."""

from __future__ import annotations

import pytest

from evaluation.intervals import difference, interval
from inspection.reproduction.figures import excess, merged, paired, pooled, ratio
from schemas.evaluations import Part, Unit
from tests.inspection.evaluated import half, units


def test_one_seed_is_the_figure_itself() -> None:
    met = units(half(50, 20))
    found, alone = pooled({7: met}), interval(met)
    assert found and alone
    assert (found.value, found.low, found.high) == (alone.value, alone.low, alone.high)
    assert found.by_seed == {7: 0.4}
    assert found.spread is None


def test_seeds_are_averaged_and_their_prompts_drawn_together() -> None:
    """Two seeds that meet opposite halves: together every prompt is half met, without any doubt."""
    first, second = units([1] * 10 + [0] * 10), units([0] * 10 + [1] * 10)
    found = pooled({1: first, 2: second})
    assert found
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.spread == 0


def test_the_spread_is_the_standard_deviation_over_seeds() -> None:
    found = pooled({1: units(half(10, 2)), 2: units(half(10, 4)), 3: units(half(10, 6)), 4: []})
    assert found
    assert found.value == pytest.approx(0.4)
    assert found.spread == pytest.approx(0.2)
    assert found.by_seed == {1: 0.2, 2: 0.4, 3: 0.6}, "a seed without units is none"


def test_seeds_of_unequal_size_count_alike() -> None:
    found = pooled({1: units(half(10, 10)), 2: units(half(30, 0), start=10)})
    assert found
    assert found.value == 0.5


def test_nothing_measured_is_no_figure() -> None:
    assert pooled({}) is None
    assert pooled({1: []}) is None
    assert paired({}, {1: units([1])}) is None


def test_units_of_one_key_are_added_up_part_by_part() -> None:
    one = Unit("a", [Part(1, 2), Part(0, 1)])
    other = Unit("a", [Part(2, 2), Part(1, 1)])
    alone = Unit("b", [Part(1, 1), Part(1, 1)])
    assert merged([[one], [other, alone]]) == [Unit("a", [Part(3, 4), Part(1, 2)]), alone]


def test_a_ratio_is_the_mean_over_parts_of_sums() -> None:
    some = [Unit("a", [Part(1, 1), Part(1, 4)]), Unit("b", [Part(0, 1), Part(2, 2)])]
    assert ratio(some) == pytest.approx((1 / 2 + 3 / 6) / 2)
    assert ratio([Unit("a", [Part(0, 0)])]) == 0


def test_a_difference_of_one_seed_is_the_paired_one() -> None:
    first, second = units(half(40, 10)), units(half(40, 22))
    found, alone = paired({1: first}, {1: second}), difference(first, second)
    assert found and alone
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high, found.p) == (alone.low, alone.high, alone.p)
    assert found.units == 40


def test_only_seeds_that_both_have_are_compared() -> None:
    """A seed that is still being measured would shift the difference to +0.5."""
    first = {1: units(half(10, 5)), 2: units(half(10, 0))}
    second = {1: units(half(10, 6)), 3: units(half(10, 10))}
    found = paired(first, second)
    assert found
    assert found.value == pytest.approx(0.1)
    assert [*found.by_seed] == [1]
    assert paired({1: first[1]}, {3: second[3]}) is None


def test_only_prompts_that_both_have_are_compared_in_each_seed() -> None:
    first = {1: units([0, 0, 1, 1]), 2: units([0, 0])}
    second = {1: units([1, 0]), 2: units([1, 1])}
    found = paired(first, second)
    assert found
    assert found.units == 2
    assert found.value == pytest.approx(0.75)
    assert found.by_seed == {1: 0.5, 2: 1.0}


def test_an_excess_is_the_difference_and_weighs_as_the_first() -> None:
    program = [Unit("a", [Part(1, 4)]), Unit("b", [Part(2, 2)]), Unit("c", [Part(1, 1)])]
    own = [Unit("a", [Part(3, 4)]), Unit("b", [Part(1, 1)]), Unit("d", [Part(1, 1)])]
    assert excess(program, own) == [Unit("a", [Part(2, 4)]), Unit("b", [Part(0, 2)])]
    assert ratio(excess(program, own)) == pytest.approx(2 / 6)
