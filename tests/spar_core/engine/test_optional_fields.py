"""A server's refusal, in whatever form, names the fields that it does not take."""

from __future__ import annotations

import json

import pytest

from spar_core.engine.optional_fields import OptionalFields, named

FIELDS = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}

REFUSALS = {
    "OpenAI": {"error": {"message": "Unrecognized request argument: top_k", "param": None}},
    "param": {"error": {"message": "Bad request", "param": "top_k"}},
    "a list": [{"error": {"message": 'Unknown name "top_k": Cannot find field.'}}],
    "camel case": {"error": "Argument not supported: topK"},
    "pydantic": {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"], "input": -1}]},
    "a property": {"error": {"message": "property 'top_k' is unsupported"}},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_what_a_refusal_names_is_found(refusal: object) -> None:
    assert named(json.dumps(refusal), FIELDS) == ["top_k"]


def test_several_are_found_at_once() -> None:
    assert named("min_p, repetitionPenalty: extra", FIELDS) == ["min_p", "repetition_penalty"]


@pytest.mark.parametrize("text", ["", "top_p is too large", "stop_k, top_k2", "n must be 1", "k"])
def test_other_words_name_nothing(text: str) -> None:
    assert named(text, FIELDS) == []


def test_what_was_refused_is_sent_no_more_and_told_once() -> None:
    fields = OptionalFields(FIELDS)
    assert fields.sent() == FIELDS
    assert fields.learn(["top_k", "min_p"]) == ["top_k", "min_p"]
    assert fields.learn(["top_k"]) == []
    assert fields.sent() == {"repetition_penalty": 1.0}
