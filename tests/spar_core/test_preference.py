"""Pairs and fine-tuning samples."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import TABLES
from schemas.pairs import Message, Pair
from spar_core.conversation import (
    Refinement,
    judge_messages,
    read_refinement,
    read_vote,
    refine_messages,
)
from spar_core.preference import RFT_CAPS, Chosen, rft_sample, sides, similarity

seeded = settings(derandomize=True, deadline=None)

COLUMNS: dict[str, Any] = {
    "pair_id": "t.pair",
    "method": "spar",
    "prompt_id": "p",
    "tree_id": "t",
    "chosen_node_id": "t.0",
    "rejected_response_id": "r",
    "depth": 1,
    "chosen_value": 0.8,
    "rejected_value": 0.2,
    "chosen_yes_votes": 4,
    "chosen_no_votes": 1,
    "rejected_yes_votes": 1,
    "rejected_no_votes": 4,
    "refinements": 3,
    "tree_tokens": 99,
}


def test_pair_is_conversational_and_bears_its_quality() -> None:
    two = sides("say it", "it was said", "it wasn't said")
    assert two is not None
    made = Pair(**two, **COLUMNS)
    assert made.prompt == [Message("user", "say it")]
    assert made.chosen == [Message("assistant", "it was said")]
    assert made.rejected == [Message("assistant", "it wasn't said")]
    assert (made.chosen_chars, made.rejected_chars, made.method) == (11, 14, "spar")
    assert made.similarity == pytest.approx(1 - 3 / 25)
    assert {name: getattr(made, name) for name in COLUMNS} == COLUMNS
    assert TABLES["pairs"].to_arrow([made]).num_rows == 1


@pytest.mark.parametrize("rejected", ["same", " same\n", "\tsame"])
def test_equal_texts_are_no_pair(rejected: str) -> None:
    assert sides("p", "same", rejected) is None


def test_neither_side_has_white_space_round_it() -> None:
    made = sides("p", "good\n", "\n bad \n\n")
    assert made is not None
    assert (made["chosen"][0].content, made["rejected"][0].content) == ("good", "bad")
    assert (made["chosen_chars"], made["rejected_chars"]) == (4, 3)


def test_texts_that_differ_in_case_are_a_pair() -> None:
    assert sides("p", "SAME", "same") is not None


@seeded
@given(one=st.text(), other=st.text())
def test_similarity_is_symmetric_and_within_0_and_1(one: str, other: str) -> None:
    assert 0 <= similarity(one, other) <= 1
    assert similarity(one, one) == 1
    assert similarity(one, other) == pytest.approx(similarity(other, one))
    assert (similarity(one, other) == 1) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("abc", "xyz", 0), ("", "abc", 0), ("", "", 1), ("ab", "abcd", 1 - 2 / 6), ("ab", "cb", 0.5)],
)
def test_similarity_counts_insertions_and_deletions(one: str, other: str, expected: float) -> None:
    assert similarity(one, other) == pytest.approx(expected)


def item(**values: Any) -> Chosen:
    plain: dict[str, Any] = {
        "key": "k",
        "source": "tree_refinement",
        "prompt_id": "p",
        "prompt": "the {prompt}",
        "tree_id": "t",
        "node_id": "t.0",
        "response_id": None,
        "response": "old",
        "critique": "bad.\nFinal Judgement: No",
        "reflection": "do better",
        "refined": "new",
        "verdict": "yes",
        "value": 0.8,
    }
    return Chosen(**plain | values)


def test_refine_sample_ends_with_the_refinement_in_the_wire_format() -> None:
    sample = rft_sample(item())
    said = [{"role": m.role, "content": m.content} for m in sample.messages]
    assert said[:-1] == refine_messages("the {prompt}", "old", "bad.\nFinal Judgement: No")
    assert said[-1]["role"] == "assistant"
    assert read_refinement(said[-1]["content"]) == Refinement("do better", "new")
    assert (sample.task, sample.label, sample.rft_id) == ("refine", None, "k")
    assert (sample.tree_id, sample.node_id, sample.response_id) == ("t", "t.0", None)
    assert TABLES["rft"].to_arrow([sample]).num_rows == 1


@pytest.mark.parametrize("source", ["tree_judgement", "response_judgement"])
@pytest.mark.parametrize(("verdict", "label"), [("yes", "Yes"), ("no", "No")])
def test_judge_sample_ends_with_the_critique(source: str, verdict: str, label: str) -> None:
    sample = rft_sample(
        item(
            source=source,
            critique=f"hm\nFinal Judgement: {label}",
            verdict=verdict,
            reflection=None,
            refined=None,
            tree_id=None,
            node_id=None,
            response_id="r",
        )
    )
    said = [{"role": m.role, "content": m.content} for m in sample.messages]
    assert said[:-1] == judge_messages("the {prompt}", "old")
    assert said[-1]["role"] == "assistant" and read_vote(said[-1]["content"]) == label
    assert (sample.task, sample.label, sample.source, sample.value) == ("judge", label, source, 0.8)
    assert (sample.tree_id, sample.node_id, sample.response_id) == (None, None, "r")


def test_caps_are_those_of_the_paper() -> None:
    assert list(RFT_CAPS.values()) == [4000, 1500, 1000, 500, 2500]
