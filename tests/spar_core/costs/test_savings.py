"""What options would have saved of what prompts took."""

from __future__ import annotations

import random

import pytest

from spar_core.conversation import Vote
from spar_core.costs.savings import judge_once, stop_level, stop_votes, with_options
from spar_core.costs.taken import SAMPLE, Cast, Child, Judging, Refining, Request, Taken

NO: Vote = "No"
YES: Vote = "Yes"


def judging(*votes: Vote | None, text: str = "a", tokens: int = 10) -> Judging:
    passed = sum(vote == YES for vote in votes) > len(votes) / 2
    return Judging(50, (tuple(Cast(vote, tokens) for vote in votes),), text, passed)


def taken(*judgings: Judging, levels: tuple[tuple[Refining, ...], ...] = ()) -> Taken:
    return Taken(Request(SAMPLE, 1, (1,)), judgings, levels)


@pytest.mark.parametrize(
    ("votes", "asked"),
    [
        ((NO, NO, NO, NO, NO), [3]),
        ((NO, YES, NO, NO, YES), [3, 1]),
        ((NO, YES, NO, YES, YES), [3, 1, 1]),
        ((None, None, None, NO, NO), [3]),
    ],
)
def test_votes_are_asked_for_as_the_judge_would(
    votes: tuple[Vote | None, ...], asked: list[int]
) -> None:
    [found] = stop_votes(taken(judging(*votes)), 5, 3).judgings
    assert [len(casts) for casts in found.rounds] == asked
    assert found.votes == judging(*votes).votes[: sum(asked)]


def test_votes_that_were_stopped_are_stopped_no_more() -> None:
    once = stop_votes(taken(judging(NO, NO, NO, NO, NO)), 5, 3)
    assert stop_votes(once, 5, 3) == once


def test_equal_responses_are_judged_once_in_a_prompt_and_in_a_tree() -> None:
    level = (Refining(9, tuple(Child(5, judging(NO, text=text)) for text in "abb")),)
    found = judge_once(taken(judging(NO), judging(NO, text="b"), judging(NO), levels=(level,)))
    assert [len(each.rounds) for each in found.judgings] == [1, 1, 0]
    children = found.levels[0][0].children
    assert [len(child.judging.rounds) for child in children if child.judging] == [1, 1, 0]
    assert [child.tokens for child in children] == [5, 5, 5], "each was written"


def test_a_search_ends_with_the_first_that_passes() -> None:
    good, slow = judging(YES, YES, YES), judging(NO, NO, NO, tokens=100)
    first = (Refining(9, (Child(20, good), Child(30, slow), Child(4, None))),)
    late = (Refining(9, (Child(70, slow),)),)
    found = stop_level(taken(levels=((*first, *late), late)))
    # The children of a node come at once, after 30 steps; the first passes 10 steps later.
    assert len(found.levels) == 1
    beside = found.levels[0][0].children[1].judging
    assert beside is not None
    assert [cast.tokens for cast in beside.votes] == [10, 10, 10]
    [given_up] = found.levels[0][1].children
    assert given_up.tokens == 40
    assert given_up.judging is not None
    assert not given_up.judging.rounds


def test_a_search_without_any_that_passes_stays() -> None:
    level = (Refining(9, (Child(20, judging(NO, NO, NO)),)),)
    held = taken(levels=(level, level))
    assert stop_level(held) == held


def test_options_go_together() -> None:
    drawn = random.Random(0)
    votes: list[Vote] = [YES if drawn.random() < 0.5 else NO for _ in range(5)]
    held = taken(judging(*votes), judging(*votes))
    found = with_options(held, ("--stop_votes", "--judge_once"), 5, 3)
    assert found == judge_once(stop_votes(held, 5, 3))
    assert with_options(held, (), 5, 3) == held
