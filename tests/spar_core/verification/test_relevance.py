"""Relevance: what is asked, and how scores are read."""

from __future__ import annotations

import pytest

from spar_core.verification.relevance import read_relevance, relate_grammar, relate_messages


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Reasons: all there.\nScore: 9", 9),
        ("Score: 3\nNo, better.\n**Score:** 10", 10),
        ("Score: 8.5", 8.5),
        ("Score: 7/10", 7),
        ("Score: 0", None),
        ("Score: 11", None),
        ("It is a nine.", None),
        ("", None),
    ],
)
def test_a_score_is_read_where_it_is_on_the_scale(text: str, score: float | None) -> None:
    assert read_relevance(text) == score


def test_it_is_asked_of_the_prompt_and_the_answer_as_they_stand() -> None:
    [message] = relate_messages("Say {response}.", "{prompt} it is")
    assert 'Prompt: "Say {response}."' in message["content"]
    assert 'Response: "{prompt} it is"' in message["content"]


def test_a_grammar_holds_it_to_the_form() -> None:
    grammar = relate_grammar(64)
    assert '"Score: " ("1" | "2"' in grammar and '| "10")' in grammar
