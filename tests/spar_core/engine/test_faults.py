"""Tries that failed: how many are enough, and how long to wait."""

from __future__ import annotations

import pytest

from spar_core.engine.faults import Fault, Tries, backoff_s


def test_waits_grow_and_stay_bounded() -> None:
    fault = Fault("busy")
    for number in (1, 3, 50, 5000):
        longest = max(backoff_s(fault, number) for _ in range(200))
        assert 0 < longest <= min(0.5 * 2 ** min(number - 1, 10), 20)


@pytest.mark.parametrize(("asked", "wait"), [(0.0, 0.0), (7.0, 7.0), (999.0, 60.0)])
def test_wait_that_is_asked_for_comes_first_and_is_a_minute_at_most(
    asked: float, wait: float
) -> None:
    assert backoff_s(Fault("busy", wait_s=asked), 9) == wait


def test_busy_tries_are_enough_by_time_and_others_by_number() -> None:
    tries = Tries()
    for _ in range(10):
        tries.add(Fault("busy", busy=True))
    assert not tries.are_enough(5, patience_s=60)
    assert tries.are_enough(5, patience_s=0)
    tries = Tries()
    for _ in range(5):
        assert not tries.are_enough(5, patience_s=60)
        tries.add(Fault("no JSON"))
    assert tries.are_enough(5, patience_s=60)
