"""Meta-judging: how a comparison is read, and what battles come to."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from spar_core.meta_judging import (
    COMPARE,
    Fought,
    Side,
    Weights,
    compare_grammar,
    compare_messages,
    elo,
    read_better,
    weights,
)

EVEN = Weights(0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Comparison: B missed it.\nBetter grader: A", "first"),
        ("Better grader: B", "second"),
        ("Better grader: **B**", "second"),
        ("Better grader: Grader A", "first"),
        ("Better grader: A\nNo, wait.\nBetter grader: B", "second"),
        ("**Better grader**: A", "first"),
        ("**Better grader:** Grader B", "second"),
        ("## Better Grader: B.", "second"),
        ("better grader: (A)", "first"),
        ("Better grader: A because its reasons are true", "first"),
        ("Better grader: A/B", None),
        ("Better grader: A tie", None),
        ("Better grader: a tie", None),
        ("Better grader: A or B", None),
        ("Better grader: <the letter>", None),
        ("Better grader: Both", None),
        ("A is better", None),
        ("", None),
    ],
)
def test_the_winner_is_the_letter_after_the_last_label(text: str, side: Side | None) -> None:
    assert read_better(text) == side


def test_both_texts_are_shown_in_their_order() -> None:
    [asked] = compare_messages("p", "r", "{second}", "two")
    text = asked["content"]
    assert text.index('Grader A wrote: "{second}"') < text.index('Grader B wrote: "two"')
    assert read_better(COMPARE) is None
    assert '"Better grader: " ("A" | "B")' in compare_grammar(2048)


def test_a_win_counts_by_how_rarely_its_place_wins() -> None:
    assert weights(30, 10) == Weights(0.25, 0.75)
    assert weights(7, 7) == EVEN
    assert weights(6, 0) == Weights(0.0, 1.0)


def all_battles(names: str, better: dict[str, float], rng: random.Random) -> list[Fought]:
    fought = []
    for first, second in itertools.permutations(names, 2):
        chance = 1 / (1 + math.exp(better[second] - better[first]))
        won = rng.random() < chance
        fought.append(Fought(first, second, "first" if won else "second"))
    return fought


def test_elo_is_the_maximum_of_the_weighted_likelihood() -> None:
    """As the derivative says: what a rating won is what it was to be expected to win."""
    better = {name: number / 3 for number, name in enumerate("abcdef")}
    battles = 40 * all_battles("abcdef", better, random.Random(3))
    counting = weights(2, 1)
    found = elo("abcdef", battles, counting)
    assert sum(found.values()) == pytest.approx(0, abs=1e-3)
    for name in "abcdef":
        won = expected = 0.0
        for fought in battles:
            if name not in fought[:2]:
                continue
            weight = counting.first if fought.winner == "first" else counting.second
            other = fought.second if fought.first == name else fought.first
            is_winner = (fought.first if fought.winner == "first" else fought.second) == name
            won += weight * is_winner
            expected += weight / (1 + 10 ** ((found[other] - found[name]) / 400))
        assert won == pytest.approx(expected, rel=0.01)


def test_whoever_wins_all_battles_has_a_finite_elo_and_the_highest() -> None:
    battles = [
        Fought(first, second, "first" if first > second else "second")
        for first, second in itertools.permutations("abc", 2)
    ]
    found = elo("abc", battles, EVEN)
    assert -5000 < found["a"] < found["b"] < found["c"] < 5000


def test_where_only_the_place_decides_all_are_equal() -> None:
    battles = [Fought(*pair, "first") for pair in itertools.permutations("abc", 2)]
    assert set(elo("abc", battles, weights(6, 0)).values()) == {0.0}
    assert set(elo("abc", battles, EVEN).values()) == {0.0}


def test_elo_does_not_depend_on_the_order_of_the_battles() -> None:
    battles = all_battles("abcd", {name: ord(name) for name in "abcd"}, random.Random(1))
    assert elo("abcd", battles, EVEN) == elo("abcd", battles[::-1], EVEN)
