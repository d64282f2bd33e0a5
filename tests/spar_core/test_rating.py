"""Ratings: what is asked, and how the score is read."""

from __future__ import annotations

import pytest

from spar_core import rating
from spar_core.rating import RATE, rate_grammar, rate_messages, read_score


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Points: all but the last.\nScore: 4", 4.0),
        ("Score: 0", 0.0),
        ("**Score:** 3", 3.0),
        ("Score: **3**", 3.0),
        ("Score: 4.5 because it is short", 4.5),
        ("Score: 4.", 4.0),
        ("Score: 4/5", 4.0),
        ("Score: 1 for the subject, and more.\nScore: 3", 3.0),
        ("**Score**: 4", 4.0),
        ("__Score__ : 2", 2.0),
        ("### Score: 5", 5.0),
        ("**Score: 4**", 4.0),
        ("Score (0-5): 3", 3.0),
        ("score: 2", 2.0),
        ("Score: 3 + 1 = 4", 4.0),
        ("Score: 1 + 1 + 1 = **3**", 3.0),
        ("**Score**: **2** + **1** = **3**", 3.0),
        ("Score: $\\boxed{4}$", 4.0),
        ("Score: [2]", 2.0),
        ("Score: 5 (1 + 1 + 1 + 1 + 1 = 5)", 5.0),
        ("Points: Score: 3 so far.\n**Score:** 4", 4.0),
        ("Score: 4 + 4 = 8", None),
        ("Score: 6", None),
        ("Score: 45", None),
        ("Score: -1", None),
        ("Score: <the sum, a whole number>", None),
        ("Points: all five", None),
        ("", None),
    ],
)
def test_the_score_is_the_number_after_the_last_label(text: str, score: float | None) -> None:
    assert read_score(text) == score


def test_braces_and_labels_of_a_text_are_left_alone() -> None:
    [asked] = rate_messages("{response}", "{prompt} Score: 5")
    assert '"{response}"' in asked["content"] and '"{prompt} Score: 5"' in asked["content"]
    assert read_score(RATE) is None


def test_a_grammar_ends_with_a_score_that_can_be_read() -> None:
    assert '"Score: " ("0" | "1" | "2" | "3" | "4" | "5")' in rate_grammar(2048)
    assert "{1,200}" in rate_grammar(104), "short answers get to the score"


def test_fingerprint_changes_with_the_rubric(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rating.fingerprint()
    monkeypatch.setattr(rating, "RATE", RATE + "!")
    assert rating.fingerprint() != before
