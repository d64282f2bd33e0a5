"""Chat completions in the forms in which servers write them."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.finish_reasons import CALLS, CUT, DISCARDED, FAILED
from spar_core.engine.completions import (
    ErrorInAnswer,
    TokenCounts,
    before_stop,
    choices_of,
    foreign,
    usage_of,
)
from spar_core.engine.faults import Fault
from spar_core.engine.protocol import AnswerDiscarded, Choice


def plain(content: object = "x", **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}} | choice]}


def only(completion: dict[str, Any]) -> tuple[str, str]:
    [choice] = choices_of(completion, 1)
    return choice["message"]["content"], choice["finish_reason"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "b"}], "b"),
        ([{"type": "reasoning", "text": "hm"}, "b"], "b"),
        ([{"type": "image"}, {"type": "text", "text": None}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_content_in_chunks_is_joined_without_thoughts(content: object, text: str) -> None:
    assert only(plain(content)) == (text, "stop")


@pytest.mark.parametrize("content", [7, {"text": "x"}, [7], True])
def test_content_of_no_known_form_is_no_completion(content: object) -> None:
    with pytest.raises(TypeError):
        choices_of(plain(content), 1)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, TokenCounts(3, 4)),
        ({"prompt_tokens": "3", "completion_tokens": 4.0}, TokenCounts(3, 4)),
        ({"prompt_tokens": None, "completion_tokens": -4}, TokenCounts(0, 0)),
        ({"prompt_tokens": {"total": 3}, "completion_tokens": [4]}, TokenCounts(0, 0)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, TokenCounts(0, 0)),
        ({"prompt_tokens": "many", "completion_tokens": 1 << 40}, TokenCounts(0, 0)),
        ({}, TokenCounts(0, 0)),
        (None, TokenCounts(0, 0)),
        ([1], TokenCounts(0, 0)),
        ("12", TokenCounts(0, 0)),
        (True, TokenCounts(0, 0)),
        ({"usage": {"prompt_tokens": 3}}, TokenCounts(0, 0)),
    ],
)
def test_odd_usage_counts_nothing_and_fails_nothing(usage: object, told: TokenCounts) -> None:
    assert usage_of({"usage": usage}) == told
    assert usage_of({}) == TokenCounts(0, 0)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 20}, TokenCounts(3, 17)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, TokenCounts(3, 4)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 1}, TokenCounts(3, 4)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": "x"}, TokenCounts(3, 4)),
        ({"completion_tokens": 4, "total_tokens": 20}, TokenCounts(0, 4)),
        ({"prompt_tokens": 3, "total_tokens": 20}, TokenCounts(3, 0)),
    ],
)
def test_reasoning_that_only_the_total_holds_counts(usage: object, told: TokenCounts) -> None:
    assert usage_of({"usage": usage}) == told


@pytest.mark.parametrize("reason", ["stop", "eos", "STOP", "end_turn", ""])
def test_other_reasons_are_those_of_whole_answers(reason: str) -> None:
    text, told = only(plain(finish_reason=reason))
    assert text == "x" and told == (reason.lower() or "stop")
    assert not Choice(text, told, 1).is_cut


@pytest.mark.parametrize("reason", [*CUT[:-1], "MAX_TOKENS", None])
def test_cut_answers_are_kept_and_marked(reason: str | None) -> None:
    text, told = only(plain(finish_reason=reason))
    assert text == "x" and told == ("null" if reason is None else reason.lower())
    assert Choice(text, told, 1).is_cut


@pytest.mark.parametrize("reason", [*DISCARDED, "SAFETY"])
def test_discarded_answers_name_their_reason(reason: str) -> None:
    with pytest.raises(AnswerDiscarded, match=f"finish_reason {reason.lower()}"):
        choices_of(plain(finish_reason=reason), 1)


def test_one_discarded_choice_is_enough() -> None:
    both = {"choices": [plain()["choices"][0], plain(finish_reason="refusal")["choices"][0]]}
    with pytest.raises(AnswerDiscarded):
        choices_of(both, 2)
    assert len(choices_of(both, 1)) == 1, "it is not among those that are wanted"


@pytest.mark.parametrize("reason", FAILED)
def test_answers_that_the_server_failed_may_be_tried_again(reason: str) -> None:
    with pytest.raises(Fault, match=f"finish_reason {reason}"):
        choices_of(plain(finish_reason=reason), 1)


@pytest.mark.parametrize("reason", CALLS)
def test_call_of_a_tool_is_discarded_unless_it_comes_with_a_text(reason: str) -> None:
    assert only(plain("x", finish_reason=reason)) == ("x", reason)
    for content in (None, "", " \n"):
        with pytest.raises(AnswerDiscarded, match=reason):
            choices_of(plain(content, finish_reason=reason), 1)


def test_refusal_of_the_model_in_place_of_a_text_is_discarded() -> None:
    message = {"content": None, "refusal": "I cannot."}
    with pytest.raises(AnswerDiscarded, match="I cannot"):
        choices_of({"choices": [{"message": message, "finish_reason": "stop"}]}, 1)


@pytest.mark.parametrize(
    "completion", [{"error": {"code": 429}}, plain(error={"code": 502}), {"error": "no"}]
)
def test_error_inside_is_one(completion: dict[str, Any]) -> None:
    with pytest.raises(ErrorInAnswer):
        choices_of(completion, 1)
    assert only(plain(error=None)) == ("x", "stop")


@pytest.mark.parametrize(
    ("text", "stops", "kept"),
    [
        ("one ## two // three", ("//", "##"), "one "),
        ("one", ("##",), None),
        ("##", ("##",), ""),
        ("one", (), None),
    ],
)
def test_text_ends_before_the_first_stop(
    text: str, stops: tuple[str, ...], kept: str | None
) -> None:
    assert before_stop(text, stops) == kept


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b" <!DOCTYPE html>", "HTML"),
        (b"data: {}", "an event stream"),
        (b"event: ping", "an event stream"),
        (b'{"choices', ""),
        (b"", ""),
    ],
)
def test_what_comes_from_no_api_is_known(text: bytes, kind: str) -> None:
    assert foreign(text) == kind
