"""Which cases are tests, and how many of them a function passes."""

from __future__ import annotations

from schemas.verifiers import Case
from spar_core.verification.cross_validation import agreed, passed, pooled
from spar_core.verification.trial import Trial

CASES = [Case("a", True), Case("b", False), Case("b", True), Case("c", True)]


def ran(*answers: bool | None) -> Trial:
    return Trial("ran", "", answers)


def test_equal_cases_are_one() -> None:
    assert pooled([*CASES, Case("a", True), Case("a", False)]) == [*CASES, Case("a", False)]


def test_more_than_half_of_the_functions_must_agree() -> None:
    trials = [ran(True, False, False, True), ran(True, False, False, None)]
    assert agreed(CASES, trials) == [0, 1], "half is not more than half"
    assert agreed(CASES, [*trials, ran(True, True, True, True)]) == [0, 1, 3]


def test_functions_that_do_not_run_have_no_say() -> None:
    away = Trial("limit", "", (None,) * 4)
    assert agreed(CASES, [ran(True, True, True, True), away, away]) == [0, 2, 3]
    assert agreed(CASES, [away]) == []
    assert agreed(CASES, []) == []


def test_passing_is_saying_what_is_expected() -> None:
    assert passed(CASES, [0, 1, 3], ran(True, True, True, None)) == 1
    assert passed(CASES, [], ran(True, True, True, True)) == 0
