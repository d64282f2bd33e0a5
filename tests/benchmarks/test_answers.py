from __future__ import annotations

import pytest

from benchmarks.answers import Script, quality
from spar_core.conversation import (
    actor_messages,
    judge_messages,
    read_refinement,
    read_vote,
    refine_messages,
)
from spar_core.engine.protocol import Message
from spar_core.meta_judging import compare_messages, read_better
from spar_core.rating import rate_messages, read_score
from spar_core.verification.relevance import read_relevance, relate_messages

ACTOR = actor_messages("Write.")
JUDGE = judge_messages("Write.", "words q=0.50")
REFINE = refine_messages("Write.", "words q=0.50", "Missed.")


@pytest.mark.parametrize("messages", [ACTOR, JUDGE, REFINE])
def test_answers_follow_from_chat_seed_and_number(messages: list[Message]) -> None:
    script = Script(seed=1)
    asked = script.answers(messages, 7, 4)
    assert asked == script.answers(messages, 7, 4)
    assert asked[2:] == script.answers(messages, 9, 2)
    assert len(set(asked)) == 4
    assert asked != Script(seed=2).answers(messages, 7, 4)


def test_answers_are_in_the_wire_format() -> None:
    script = Script()
    assert {read_vote(text) for text in script.answers(JUDGE, 0, 50)} == {"Yes", "No"}
    refined = [read_refinement(text) for text in script.answers(REFINE, 0, 50)]
    assert all(r and 0 < quality(r.response) < 1 for r in refined)
    assert all(0 < quality(text) < 1 for text in script.answers(ACTOR, 0, 50))


def test_a_share_of_answers_cannot_be_read() -> None:
    script = Script(malformed_rate=0.3)
    votes = [read_vote(text) for text in script.answers(JUDGE, 0, 500)]
    refined = [read_refinement(text) for text in script.answers(REFINE, 0, 500)]
    assert 100 < votes.count(None) < 200
    assert 100 < refined.count(None) < 200


def test_a_share_of_answers_to_a_chat_are_equal() -> None:
    texts = Script(equal_rate=0.3).answers(ACTOR, 0, 500)
    assert 100 < len(texts) - len(set(texts)) < 200


def test_lengths_spread() -> None:
    lengths = sorted(len(text) for text in Script().answers(ACTOR, 0, 500))
    assert 850 < sum(lengths) / 500 < 950
    assert lengths[25] < 550
    assert lengths[475] > 1400


def test_ratings_follow_the_quality_and_comparisons_name_either() -> None:
    script = Script()
    low, high = (
        [read_score(text) for text in script.answers(rate_messages("Write.", q), 0, 50)]
        for q in ("words q=0.10", "words q=0.90")
    )
    assert sum(s for s in low if s is not None) < sum(s for s in high if s is not None)
    assert None not in low + high
    compared = script.answers(compare_messages("Write.", "words", "Score: 1", "Score: 2"), 0, 50)
    assert {read_better(text) for text in compared} == {"first", "second"}


def test_most_scores_of_relevance_are_over_eight() -> None:
    asked = relate_messages("Write.", "words q=0.10")
    scores = [read_relevance(text) or 0 for text in Script().answers(asked, 0, 100)]
    assert 50 < sum(score > 8 for score in scores) < 100
