"""Prompts as they are assumed to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spar_core.costs.assumed import Assumptions, Bounds, clock, read, taken
from spar_core.costs.batching import Span
from spar_core.costs.taken import JUDGE, SAMPLE, STAGES, Taken

BOUNDS = Bounds(responses=5, votes=5)


def refinements(taken: Taken) -> int:
    return sum(len(each.children) for level in taken.levels for each in level)


def test_means_are_as_assumed() -> None:
    held = replace(Assumptions(), answer=400, vote=100)
    some = taken(held, BOUNDS, STAGES)
    for stage, mean in ((SAMPLE, 400), (JUDGE, 100)):
        tokens = [n for each in some for r in each.requests(stage) for n in r.answers]
        assert sum(tokens) / len(tokens) == pytest.approx(mean, rel=0.05)
    assert some == taken(held, BOUNDS, STAGES), "drawn by the seed"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"failing": 0.0}, {0}),
        ({"failing": 1.0, "passing": 0.0}, {15}),
        ({"failing": 1.0, "passing": 1.0}, {3}),
    ],
)
def test_searches_keep_to_their_bounds(given: dict[str, float], made: set[int]) -> None:
    some = taken(replace(Assumptions(), **given), BOUNDS, STAGES)
    assert {refinements(each) for each in some} == made
    short = taken(replace(Assumptions(), **given), replace(BOUNDS, budget=4), STAGES)
    assert {refinements(each) for each in short} == {min(4, *made)}


def test_a_method_without_a_search_has_none() -> None:
    some = taken(replace(Assumptions(), failing=1.0), BOUNDS, (SAMPLE, JUDGE))
    assert not any(each.levels for each in some)


def test_a_full_engine_gives_its_tokens_a_second() -> None:
    second = Span(steps=40, tokens=40 * 250)
    assert second.seconds(clock(10_000, 250)) == pytest.approx(1.0)


def test_assumptions_are_read_by_name() -> None:
    assert read("answer=5, failing=0") == replace(Assumptions(), answer=5, failing=0)
