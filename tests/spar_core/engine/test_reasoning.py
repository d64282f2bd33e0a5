"""Reasoning is split from answers, wherever servers put it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spar_core.engine.completions import TokenCounts, choices_of, usage_of, written
from spar_core.engine.journal import Journal
from spar_core.engine.meter import Meter
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import (
    AnswerDiscarded,
    ChatAnswer,
    Choice,
    CutWhileThinking,
    EngineGone,
)
from spar_core.engine.reasoning import Parts, split_message, split_text, unanswered
from tests.loopback import serving
from tests.spar_core.engine.asking import ask, in_turn, request, using

CUT = Choice("", "length", 9, "hm")
ANSWERED = Choice("yes", "stop", 9, "hm")


def reply(*choices: dict[str, Any], **usage: Any) -> web.Response:
    """A completion of messages, or of choices where a reason to finish stands beside one."""
    made = [each if "message" in each else {"message": each} for each in choices]
    return web.json_response({"choices": made, "usage": {"completion_tokens": 12} | usage})


def cut(**message: Any) -> dict[str, Any]:
    return {"message": message, "finish_reason": "length"}


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>hm</think>yes", "hm", "yes"),
        (" \n<think>\nhm, so\n</think>\n\n yes \n", "hm, so", "yes \n"),
        ("<thinking>hm</thinking>yes", "hm", "yes"),
        ("<reasoning>hm</reasoning>\nyes", "hm", "yes"),
        ("<think>\n\n</think>\n\nyes", "", "yes"),
        ("<think>a</think>\n<think>b</think>yes", "a\n\nb", "yes"),
        ("<think>is it <b>? </thinking> no</think>yes", "is it <b>? </thinking> no", "yes"),
        ("<think>hm</think>say </think> and <think>", "hm", "say </think> and <think>"),
        ("<think>hm", "hm", ""),
        ("<think>hm</thinking>yes", "hm</thinking>yes", ""),
        ("<think>hm</think>", "hm", ""),
        ("<think>", "", ""),
    ],
)
def test_a_text_that_begins_with_a_tag_begins_with_reasoning(
    text: str, reasoning: str, answer: str
) -> None:
    assert split_text(text) == Parts(reasoning, answer)
    assert split_text(text, is_split=True) == Parts(reasoning, answer)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("hm\n</think>\n\nyes", "hm", "yes"),
        ("</think>yes", "", "yes"),
        ("hm</think>yes</think>no", "hm", "yes</think>no"),
        ("hm</think>a <think>", "hm", "a <think>"),
    ],
)
def test_all_before_a_lone_closing_tag_is_reasoning_that_the_template_opened(
    text: str, reasoning: str, answer: str
) -> None:
    assert split_text(text) == Parts(reasoning, answer, is_opened_by_template=True)
    assert split_text(text, is_split=True) == Parts("", text), "the server did that already"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " yes ",
        "Say <think> to think.",
        "It stands between <think> and </think>, as in <think>hm</think>.",
        "`<think>hm</think>` is how it looks.",
        "So </thinking> or </reasoning> ends it.",
        "<Think>hm</Think>",
        "<thinker>hm",
    ],
)
def test_tags_elsewhere_are_words_of_the_answer(text: str) -> None:
    assert split_text(text) == Parts("", text)


@pytest.mark.parametrize(
    ("message", "reasoning", "answer"),
    [
        ({"reasoning": "hm", "content": "yes"}, "hm", "yes"),
        ({"reasoning_content": " hm\n", "content": "\n\nyes "}, "hm", "yes "),
        ({"reasoning": None, "reasoning_content": None, "content": " yes"}, "", " yes"),
        ({"reasoning": "", "reasoning_content": "hm", "content": "yes"}, "hm", "yes"),
        ({"reasoning": "hm", "reasoning_content": "hm", "content": "yes"}, "hm", "yes"),
        ({"reasoning": [{"type": "text", "text": "hm"}], "content": "yes"}, "hm", "yes"),
        ({"reasoning": 7, "reasoning_content": {"x": 1}, "content": "yes"}, "", "yes"),
        ({"reasoning": "hm", "content": None}, "hm", ""),
        ({"reasoning": "hm"}, "hm", ""),
        ({"reasoning": "hm", "content": "<think>hm</think>yes"}, "hm", "yes"),
        ({"reasoning": "hm", "content": "<think>so</think>yes"}, "hm\n\nso", "yes"),
        ({"reasoning": "hm", "content": "End it by </think>."}, "hm", "End it by </think>."),
        ({"reasoning": " ", "content": "hm</think>yes"}, "hm", "yes"),
    ],
)
def test_fields_of_a_message(message: dict[str, Any], reasoning: str, answer: str) -> None:
    assert split_message(message)[:2] == (reasoning, answer)


@pytest.mark.parametrize(
    ("chunk", "reasoning"),
    [
        ({"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"text": "m"}]}, "hm"),
        ({"type": "thinking", "thinking": "hm"}, "hm"),
        ({"type": "thinking", "thinking": []}, ""),
        ({"type": "reasoning", "text": "hm"}, "hm"),
        ({"type": "reasoning", "reasoning": "hm"}, "hm"),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, "hm"),
        ({"type": "reasoning", "summary": {"x": 1}}, ""),
    ],
)
def test_chunks_of_reasoning(chunk: dict[str, Any], reasoning: str) -> None:
    content = [chunk, {"type": "text", "text": "\nye"}, "s"]
    assert split_message({"content": content})[:2] == (reasoning, "yes" if reasoning else "\nyes")


def test_what_a_model_wrote_is_both_and_as_utf8_can_hold_it() -> None:
    message = {"content": "<think>h\ud800m</think>y\ud800s"}
    [choice] = choices_of({"choices": [{"message": message}]}, 1)
    assert (choice["message"]["reasoning"], choice["message"]["content"]) == ("h?m", "y?s")
    assert written(choice) == "h?my?s"


def test_a_cut_choice_without_tags_is_reasoning_where_the_template_opens_it() -> None:
    choices = [{"message": {"content": "hm</think>yes"}}, cut(content="hm, so"), cut(content="")]
    made = choices_of({"choices": choices}, 3)
    assert [(each["message"]["reasoning"], each["message"]["content"]) for each in made] == [
        ("hm", "yes"),
        ("hm, so", ""),
        ("", ""),
    ]
    [alone] = choices_of({"choices": [cut(content="half an ans")]}, 1)
    assert (alone["message"]["reasoning"], alone["message"]["content"]) == ("", "half an ans")


@pytest.mark.parametrize(
    ("details", "told"),
    [({"reasoning_tokens": 7}, 7), ({"reasoning_tokens": -7}, 0), ({"x": 7}, 0), (None, 0), (7, 0)],
)
def test_tokens_of_reasoning_are_counted_where_told(details: object, told: int) -> None:
    usage = {"completion_tokens": 12, "completion_tokens_details": details}
    assert usage_of({"usage": usage}) == TokenCounts(0, 12, told)
    message = {"content": "yes", "reasoning": "hm"}
    with serving(lambda _: reply(message, completion_tokens_details=details)) as server:
        assert ask(server.url) == ChatAnswer((Choice("yes", "stop", 12, "hm", told),), 0)
    both = (message, message)
    with serving(lambda _: reply(*both, completion_tokens_details=details)) as server:
        assert [each.reasoning_tokens for each in ask(server.url, 2).choices] == [0, 0]


def test_tokens_are_shared_out_by_all_that_was_written() -> None:
    messages = {"content": "a", "reasoning": "hm" * 4}, {"content": "bcd"}
    with serving(lambda _: reply(*messages)) as server:
        assert [each.tokens for each in ask(server.url, 2).choices] == [9, 3]


def test_a_stop_text_in_the_reasoning_ends_nothing() -> None:
    def answer(body: dict[str, Any]) -> web.Response:
        if "stop" in body:
            error = {"message": "Unrecognized request argument supplied: stop", "param": "stop"}
            return web.json_response({"error": error}, status=400)
        return reply({"content": "<think>## is a mark</think>one ## two"})

    async def main(engine: OpenAIEngine) -> ChatAnswer:
        return await engine.chat(replace(request(), stop=("##",)))

    with serving(answer) as server:
        [choice] = using(server.url, main).choices
    assert (choice.text, choice.finish_reason, choice.reasoning) == ("one ", "stop", "## is a mark")


@pytest.mark.parametrize(
    "choice",
    [
        cut(content="<think>hm"),
        cut(content=None, reasoning="hm"),
        cut(content=" \n", reasoning_content="hm"),
        cut(content=[{"type": "thinking", "thinking": [{"text": "hm"}]}]),
        {"message": {"content": "", "reasoning": "hm"}, "finish_reason": None},
    ],
)
def test_an_answer_that_was_cut_while_thinking_is_none(choice: dict[str, Any]) -> None:
    meter = Meter()
    with (
        serving(lambda _: reply(choice)) as server,
        pytest.raises(CutWhileThinking, match="--actor_max_tokens, --judge_max_tokens") as caught,
    ):
        ask(server.url, meter=meter)
    assert (caught.value.cause, caught.value.retry) == ("cut_thinking", True)
    assert len(server.bodies) == 1, "it would be cut again"
    assert meter.take().completion_tokens == 12, "it is paid for"


def test_hidden_reasoning_that_was_cut_is_known_by_its_tokens() -> None:
    details = {"reasoning_tokens": 12}
    hidden = cut(content="")
    with (
        serving(lambda _: reply(hidden, completion_tokens_details=details)) as server,
        pytest.raises(CutWhileThinking),
    ):
        ask(server.url)
    with serving(lambda _: reply(hidden)) as server:
        assert ask(server.url).choices == (Choice("", "length", 12),), "nothing was thought"


@pytest.mark.parametrize(
    "message",
    [{"content": None, "reasoning": "yes"}, {"content": "<think>yes</think>\n"}],
)
def test_a_whole_answer_in_the_place_of_reasoning_is_discarded(message: dict[str, Any]) -> None:
    with (
        serving(lambda _: reply(message)) as server,
        pytest.raises(AnswerDiscarded, match="start it without a reasoning parser") as caught,
    ):
        ask(server.url)
    assert caught.value.cause == "discarded"


def test_choices_without_an_answer_stay_beside_others() -> None:
    messages = cut(content="<think>hm"), {"content": "<think>hm</think>yes"}
    with serving(lambda _: reply(*messages)) as server:
        lost, kept = ask(server.url, 2).choices
    assert lost.has_only_reasoning and lost.text == "" and lost.reasoning == "hm"
    assert not kept.has_only_reasoning and kept.text == "yes"


def test_choices_asked_for_one_by_one_are_judged_together() -> None:
    turns = in_turn(
        lambda: reply(cut(content="<think>hm")),
        lambda: reply({"content": "<think>hm</think>yes"}),
        lambda: reply(cut(content="<think>hm")),
    )
    with serving(turns) as server:
        assert sorted(each.text for each in ask(server.url, 3).choices) == ["", "", "yes"]
    lost = cut(content="<think>hm")
    with serving(lambda _: reply(lost)) as server, pytest.raises(CutWhileThinking):
        ask(server.url, 3)


def test_a_server_whose_every_answer_is_cut_while_thinking_stops_the_run() -> None:
    async def main(engine: OpenAIEngine) -> list[str]:
        found = []
        for seed in range(100):
            try:
                await engine.chat(request(seed=seed))
            except (CutWhileThinking, EngineGone) as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    with serving(lambda _: reply(cut(content="<think>hm"))) as server:
        became = using(server.url, main)
    assert became[98].startswith("CutWhileThinking")
    assert became[99].startswith("EngineGone") and "100 in a row" in became[99]
    assert "--judge_max_tokens" in became[99]


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ([], None),
        ([ANSWERED], None),
        ([CUT, ANSWERED], None),
        ([CUT], CutWhileThinking),
        ([Choice("", "stop", 9, "hm"), CUT], CutWhileThinking),
        ([Choice(" ", "stop", 9, "hm")], AnswerDiscarded),
        ([Choice("", "stop", 9)], None),
        ([Choice("half", "length", 9, "hm")], None),
    ],
)
def test_choices_that_hold_no_answer(choices: list[Choice], error: type[Exception] | None) -> None:
    assert type(unanswered(choices)) is (error or type(None))


def test_a_journal_keeps_the_reasoning_and_reads_older_answers(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.sqlite")
    answer = ChatAnswer((Choice("yes", "stop", 9, "hm", 7), CUT), 3)
    journal.add("x", b"1", answer)
    assert journal.find("x", b"1") == answer
    journal._db.execute("insert into answers values ('x', '2', ?)", ('[3, [["yes", "stop", 9]]]',))
    assert journal.find("x", "2") == ChatAnswer((Choice("yes", "stop", 9),), 3)  # type: ignore[arg-type]
