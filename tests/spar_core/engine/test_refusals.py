"""When refusals are so many in a row that the server takes nothing."""

from __future__ import annotations

import random

import pytest

from spar_core.engine.refusals import IN_A_ROW, Refusals


def sent(count: int) -> tuple[Refusals, list[int]]:
    refusals = Refusals()
    return refusals, [refusals.send() for _ in range(count)]


@pytest.mark.parametrize(("cause", "limit"), IN_A_ROW.items())
@pytest.mark.parametrize("seed", range(5))
def test_row_is_found_whatever_the_order_of_arrival(cause: str, limit: int, seed: int) -> None:
    refusals, numbers = sent(limit)
    random.Random(seed).shuffle(numbers)
    assert [refusals.refused(number, cause) for number in numbers] == [0] * (limit - 1) + [limit]


def test_row_goes_on_being_one() -> None:
    refusals, numbers = sent(25)
    assert [refusals.refused(number, "refused") for number in numbers][19:] == [20, *range(21, 26)]


def test_request_that_is_not_answered_yet_is_between() -> None:
    refusals, numbers = sent(200)
    assert not any(refusals.refused(n, "refused") for n in numbers if n % 20)
    assert refusals.refused(20, "refused") == 39, "it closes the gap"


def test_good_answer_ends_all_rows() -> None:
    refusals, numbers = sent(38)
    assert not any(refusals.refused(number, "refused") for number in numbers[:19])
    refusals.answered()
    assert not any(refusals.refused(number, "refused") for number in numbers[19:])


def test_causes_are_counted_apart_in_one_row() -> None:
    refusals, numbers = sent(70)
    causes = ["too_long"] * 50 + ["refused"] * 20
    said = [refusals.refused(n, cause) for n, cause in zip(numbers, causes, strict=True)]
    assert said == [0] * 69 + [70]
