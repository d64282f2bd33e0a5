"""The client adapts to what servers take, and understands what they answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from spar_core.engine.meter import Meter
from spar_core.engine.openai import ATTEMPTS, FOREIGN_ANSWERS, OpenAIEngine
from spar_core.engine.protocol import (
    AnswerDiscarded,
    ChatAnswer,
    ChatRequest,
    EngineGone,
    ItemError,
    PromptTooLong,
    RequestRefused,
    Sampling,
)
from spar_core.engine.sampling_defaults import kind_of
from tests.conformance.kind import ServerKind, openai_error
from tests.conformance.kinds import KINDS
from tests.conformance.scripted_server import serving_kind, url_of
from tests.loopback import Answer, Body, serving
from tests.spar_core.engine.asking import ask, completion, good, in_turn, request, status, using

pytestmark = pytest.mark.usefixtures("quick")


def drawn(temperature: float = 0.7, top_p: float = 0.9, **fields: Any) -> ChatRequest:
    return replace(request(), sampling=Sampling(temperature, top_p, 128), **fields)


def chats(url: str, *asked: ChatRequest, **settings: Any) -> list[ChatAnswer]:
    """The answers to requests that are asked one after another."""

    async def main(engine: OpenAIEngine) -> list[ChatAnswer]:
        return [await engine.chat(each) for each in asked]

    return using(url, main, **settings)


def outcomes(url: str, *asked: ChatRequest, **settings: Any) -> list[ChatAnswer | BaseException]:
    """What becomes of requests that are asked one after another."""

    async def main(engine: OpenAIEngine) -> list[ChatAnswer | BaseException]:
        became: list[ChatAnswer | BaseException] = []
        for each in asked:
            became += await asyncio.gather(engine.chat(each), return_exceptions=True)
        return became

    return using(url, main, **settings)


def reply(code: int, body: object) -> web.Response:
    return web.json_response(body, status=code)


TWICE = [drawn(n=2, stop=("##",)), drawn(0.0, 1.0, n=2, stop=("##",))]
"""Requests that meet every condition under which a kind of server refuses a field."""


def unstopped(_: Body, __: int) -> str:
    return "fine ## and more"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_a_server_refuses_is_not_sent_to_it_again(
    kind: ServerKind, caplog: pytest.LogCaptureFixture, quick: list[float]
) -> None:
    is_gateway = not kind.owner and "presence_penalty" in kind.refused
    sampling = "vllm" if is_gateway else kind_of(kind.owner)  # what sends penalties at all

    with serving_kind(ServerKind(), unstopped) as (server, taking):
        chats(server.url, *TWICE, server=sampling)
    with serving_kind(replace(kind, busy=None), unstopped) as (server, scripted):

        async def main(engine: OpenAIEngine) -> None:
            for asked, whole in zip(TWICE, taking.answered, strict=True):
                taken = kind.fields_taken(whole)
                scripted.answered.clear()
                first = await engine.chat(asked)
                refused = scripted.refused.total()
                second = await engine.chat(asked)
                assert scripted.refused.total() == refused, "it was told once"
                text = "fine ## and more" if "stop" in taken else "fine "
                assert [each.text for each in (*first.choices, *second.choices)] == [text] * 4
                for body in scripted.answered:
                    assert {*body} - {"n"} == taken - {"n"}

        using(url_of(server, kind), main, server=sampling)
    assert {*scripted.refused} >= {*kind.refused}, "each refusal was met"
    assert not quick, "a refusal is no reason to wait"
    assert len({*caplog.messages}) == len(caplog.messages)
    assert all(text.startswith(f"the engine at {server.url}") for text in caplog.messages)


def test_stop_that_is_refused_is_minded_here(caplog: pytest.LogCaptureFixture) -> None:
    texts = ["one ## two", "no stop", "a // b ## c"]
    answers: list[Callable[[], Answer]] = [
        lambda: reply(400, openai_error("Unsupported parameter: 'stop'", "stop")),
        lambda: web.json_response(
            {
                "choices": [
                    {"message": {"content": text}, "finish_reason": "length"} for text in texts
                ]
            }
        ),
    ]
    with serving(in_turn(*answers)) as server:
        [answer] = chats(server.url, drawn(n=3, stop=("##", "//")))
    assert [choice.text for choice in answer.choices] == ["one ", "no stop", "a "]
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "length", "stop"]
    assert "refuses stop" in caplog.text


def test_stop_that_a_server_takes_is_left_to_it() -> None:
    with serving(lambda _: ["one ## two"]) as server:
        [answer] = chats(server.url, drawn(stop=("##",)))
    assert answer.choices[0].text == "one ## two", "it knows what it does"


def test_choices_that_are_asked_for_one_by_one_have_seeds_of_their_own() -> None:
    def answer(body: Body) -> Answer:
        return [f"seed {body['seed']}"] if body["n"] == 1 else status(400, "'n' is unsupported")

    meter = Meter()
    with serving(answer) as server:
        first, second = chats(server.url, drawn(n=4), drawn(n=4, seed=20), meter=meter)
    assert [choice.text for choice in first.choices] == ["seed 3", "seed 4", "seed 5", "seed 6"]
    assert [choice.text for choice in second.choices] == [f"seed {i}" for i in range(20, 24)]
    assert [body["seed"] for body in server.bodies][:2] == [3, 3], "the first goes ahead"
    assert ["n" in body for body in server.bodies] == [True] + [False] * 8
    assert meter.take().requests == 9


def test_choices_asked_for_one_by_one_are_in_flight_together() -> None:
    inside = most = 0

    async def slow(body: Body) -> Answer:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.05)
        inside -= 1
        return ["x"]

    with serving(slow) as server:  # type: ignore[arg-type]
        [answer] = chats(server.url, drawn(n=8))
    assert len(answer.choices) == 8 == len(server.bodies) and most == 7


def test_request_whose_choices_partly_fail_fails_after_all_have_come() -> None:
    def answer(body: Body) -> Answer:
        return status(400, "no") if body["seed"] == 4 else ["x"]

    meter = Meter()
    with serving(answer) as server:
        [became] = outcomes(server.url, drawn(n=4), meter=meter)
    assert isinstance(became, RequestRefused)
    assert meter.take().requests == 4 == len(server.bodies)


def test_n_refused_at_temperature_0_is_sent_at_others() -> None:
    def answer(body: Body) -> Answer:
        if body["n"] > 1 and body["temperature"] == 0:
            return reply(400, openai_error("n must be 1 when using greedy sampling, got 2."))
        return ["x"] * body["n"]

    with serving(answer) as server:
        chats(server.url, drawn(0.0, n=2), drawn(0.7, n=2), drawn(0.0, n=2))
    sent = [(body["temperature"], body.get("n")) for body in server.bodies]
    one = (0.0, None)
    assert sent == [(0.0, 2), one, one, (0.7, 2), one, one]


def test_one_choice_is_asked_for_without_n() -> None:
    with serving(lambda _: ["x"]) as server:
        chats(server.url, drawn(1.0, 1.0))
    assert "n" not in server.bodies[0]
    assert server.bodies[0]["temperature"] == server.bodies[0]["top_p"] == 1.0


def test_temperature_that_cannot_be_had_is_said_plainly(caplog: pytest.LogCaptureFixture) -> None:
    def answer(body: Body) -> Answer:
        is_other = body.get("temperature", 1) != 1
        return status(400, "'temperature' must be 1") if is_other else ["x"]

    with serving(answer) as server:
        chats(server.url, drawn(0.7), drawn(0.7), drawn(1.0))
    assert [body.get("temperature") for body in server.bodies] == [0.7, None, None, 1.0]
    [told] = caplog.messages
    assert "refuses temperature 0.7: answers are drawn with its own temperature" in told


def test_limit_that_is_too_large_is_refused_and_not_renamed() -> None:
    said = "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens"
    with serving(lambda _: status(400, said)) as server, pytest.raises(RequestRefused):
        ask(server.url)
    assert len(server.bodies) == 1


def test_requests_that_wait_for_their_turn_know_what_was_learned_meanwhile() -> None:
    def strict(body: Body) -> Answer:
        return status(400, "'n' is unsupported") if body["n"] > 1 else ["x"]

    async def main(engine: OpenAIEngine) -> list[ChatAnswer]:
        return await asyncio.gather(*(engine.chat(drawn(n=2, seed=10 * i)) for i in range(20)))

    with serving(strict) as server:
        answers = using(server.url, main, slots=1)
    assert all(len(answer.choices) == 2 for answer in answers)
    assert len(server.bodies) == 41, "one refusal, and a request for each choice"


def test_two_servers_are_learned_apart() -> None:
    def strict(body: Body) -> Answer:
        return status(400, "'seed' is unsupported") if "seed" in body else ["x"]

    with serving(strict) as one, serving(lambda _: ["x"]) as other:
        ask(one.url)
        ask(other.url)
    assert "random_seed" in one.bodies[-1] and "seed" in other.bodies[0]


FLAGGED = {
    "error": {
        "code": 403,
        "message": "x requires moderation on y. Your input was flagged for violence.",
        "metadata": {"flagged_input": "where is the key?"},
    }
}
NO_ENDPOINT = {"error": {"message": "No endpoints found matching your data policy", "code": 404}}
FILTERED = {"error": {"code": "content_filter", "param": "prompt", "message": "see our policy"}}

OF_ITEMS = {
    "moderation": (403, FLAGGED),
    "another 403": (403, {"error": {"message": "not in this region of the prompt space"}}),
    "no endpoint": (404, NO_ENDPOINT),
    "content filter": (400, FILTERED),
}


@pytest.mark.parametrize(("code", "body"), OF_ITEMS.values(), ids=OF_ITEMS)
def test_refusal_after_an_answer_is_of_the_item(code: int, body: object) -> None:
    def answer(sent: Body) -> Answer:
        return reply(code, body) if sent["seed"] % 2 else ["fine"]

    with serving(answer) as server:
        became = outcomes(server.url, *[drawn(seed=i) for i in range(60)])
    refused = [each for each in became if isinstance(each, RequestRefused)]
    assert len(refused) == 30 and len(server.bodies) == 60
    assert refused[0].cause == "refused" and refused[0].retry
    assert str(refused[0]) == f"HTTP {code}: {json.dumps(body)}"


@pytest.mark.parametrize(("code", "body"), OF_ITEMS.values(), ids=OF_ITEMS)
def test_nothing_but_refusals_stop_the_run_with_the_servers_words(code: int, body: object) -> None:
    def answer(sent: Body) -> Answer:
        return reply(code, body) if sent["seed"] else ["fine"]

    with serving(answer) as server:
        became = outcomes(server.url, *[drawn(seed=i) for i in range(21)])
    assert isinstance(became[-1], EngineGone) and "(20 in a row)" in str(became[-1])
    assert f"HTTP {code}" in str(became[-1])


@pytest.mark.parametrize(("code", "said"), [(401, "x"), (403, "x"), (404, "x"), (402, "broke")])
def test_refusal_before_any_answer_stops_the_run(code: int, said: str) -> None:
    with serving(lambda _: status(code, said)) as server, pytest.raises(EngineGone, match=said):
        ask(server.url)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "who are you?"),
        (403, "Key limit exceeded"),
        (403, "Your API key has expired"),
        (404, "The model `m` does not exist."),
    ],
)
def test_key_and_model_that_are_gone_stop_the_run_later_too(code: int, said: str) -> None:
    with serving(in_turn(good, lambda: status(code, said))) as server:
        became = outcomes(server.url, request(), request())
    assert isinstance(became[1], EngineGone) and said in str(became[1])


def test_moderated_prompt_that_is_answered_first_stops_nothing() -> None:
    with serving(in_turn(lambda: reply(403, FLAGGED), good)) as server:
        became = outcomes(server.url, request(), request())
    assert [type(each) for each in became] == [RequestRefused, ChatAnswer]


@pytest.mark.parametrize("code", [429, 498, 502, 503, 504, 524, 529])
def test_busy_server_is_waited_for_beyond_five_tries(code: int) -> None:
    with serving(in_turn(*[lambda: status(code)] * 12, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(server.bodies) == 13


WAITS: dict[str, tuple[Callable[[], Answer], float]] = {
    "seconds": (lambda: status(529, Retry_After="7"), 7),
    "milliseconds": (lambda: status(429, retry_after_ms="1500"), 1.5),
    "Gemini": (
        lambda: reply(
            429, [{"error": {"message": "quota exceeded", "details": [{"retryDelay": "12s"}]}}]
        ),
        12,
    ),
    "OpenAI": (
        lambda: status(429, x_ratelimit_reset_tokens="1m30s", x_ratelimit_reset_requests="250ms"),
        0.25,
    ),
    "long": (lambda: status(503, Retry_After="999"), 60),
    "inside 200": (lambda: reply(200, {"error": {"code": 429, "retryDelay": "3s"}}), 3),
}


@pytest.mark.parametrize(("busy", "wait_s"), WAITS.values(), ids=WAITS)
def test_busy_server_is_asked_again_when_it_says(
    busy: Callable[[], Answer], wait_s: float, quick: list[float]
) -> None:
    with serving(in_turn(busy, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert quick == [wait_s]


def test_resets_are_no_wait_where_no_limit_was_met(quick: list[float]) -> None:
    with serving(in_turn(lambda: status(503, x_ratelimit_reset_tokens="59s"), good)) as server:
        ask(server.url)
    assert quick[0] <= 0.5


INSIDE = {
    "error": {"error": {"code": 503, "message": "overloaded"}},
    "as text": {"error": {"code": "503", "message": "overloaded"}, "choices": None},
    "in a choice": {
        "choices": [{"error": {"code": 503, "message": "overloaded"}, "message": {"content": ""}}]
    },
}


@pytest.mark.parametrize("body", INSIDE.values(), ids=INSIDE)
def test_error_inside_an_answer_has_the_status_that_it_tells(body: object) -> None:
    with serving(in_turn(*[lambda: reply(200, body)] * 12, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(server.bodies) == 13, "it is busy, and that is no fault of the request"


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"error": {"code": 400, "message": "bad words"}}, RequestRefused, "HTTP 400.*bad words"),
        ({"error": {"code": 401, "message": "who?"}}, EngineGone, "OPENAI_API_KEY"),
        ({"error": {"code": 400, "message": "maximum context"}}, PromptTooLong, "HTTP 400"),
        ({"error": {"code": "x", "message": "oh no"}}, ItemError, "is an error: .*oh no"),
        ({"choices": None, "message": "oh no"}, ItemError, "oh no"),
    ],
)
def test_error_inside_an_answer_keeps_the_servers_words(
    body: object, kind: type[Exception], said: str
) -> None:
    with serving(lambda _: reply(200, body)) as server, pytest.raises(kind, match=said):
        ask(server.url)
    assert len(server.bodies) == (1 if kind is not ItemError else ATTEMPTS)


def test_refusal_of_a_template_is_final_for_the_item() -> None:
    said = {
        "error": {
            "code": 500,
            "message": "While executing CallExpression: Error: Jinja Exception: Conversation roles "
            "must alternate user/assistant",
            "type": "server_error",
        }
    }
    with serving(lambda _: reply(500, said)) as server, pytest.raises(RequestRefused) as caught:
        ask(server.url)
    assert len(server.bodies) == 1 and "roles must alternate" in str(caught.value)


QUOTAS: dict[str, Callable[[], Answer]] = {
    "OpenAI": lambda: reply(
        429, {"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}}
    ),
    "Groq": lambda: status(429, "Rate limit reached on tokens per day (TPD)", Retry_After="7200"),
    "Gemini": lambda: reply(
        429, [{"error": {"details": [{"violations": [{"quotaId": "RequestsPerDayPerModel"}]}]}}]
    ),
    "others": lambda: status(429, "Daily limit reached"),
    "quota exceeded": lambda: status(429, "Quota exceeded"),
}


@pytest.mark.parametrize("spent", QUOTAS.values(), ids=QUOTAS)
def test_quota_of_a_day_that_is_used_up_stops_the_run(spent: Callable[[], Answer]) -> None:
    with (
        serving(lambda _: spent()) as server,
        pytest.raises(EngineGone, match=r"no quota left \(HTTP 429.*run the same command again"),
    ):
        ask(server.url)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "busy",
    [
        lambda: status(429, "Quota exceeded for requests per minute"),
        lambda: status(429, "tokens per day (TPD): try again soon", Retry_After="7"),
    ],
)
def test_quota_that_is_soon_renewed_is_waited_for(busy: Callable[[], Answer]) -> None:
    with serving(in_turn(busy, good)) as server:
        assert ask(server.url).choices[0].text == "fine"


FOREIGN: dict[str, tuple[Callable[[], Answer], str]] = {
    "HTML": (lambda: web.Response(text="<html>Welcome</html>", content_type="text/html"), "HTML"),
    "event stream": (
        lambda: web.Response(text='data: {"choices": []}\n\n', content_type="text/event-stream"),
        "an event stream",
    ),
    "LM Studio": (
        lambda: reply(200, {"error": "Unexpected endpoint or method. (POST /v1/v1/chat)"}),
        "an error in place of an answer",
    ),
}


@pytest.mark.parametrize(("page", "kind"), FOREIGN.values(), ids=FOREIGN)
def test_address_of_something_else_stops_the_run_soon(
    page: Callable[[], Answer], kind: str
) -> None:
    with serving(lambda _: page()) as server:
        became = outcomes(server.url, *[drawn(seed=i) for i in range(6)])
        sent = len(server.bodies)
    gone = next(each for each in became if isinstance(each, EngineGone))
    assert f"answers with {kind} (" in str(gone) and "--engine_url" in str(gone)
    assert sent <= FOREIGN_ANSWERS + 3


def test_page_between_answers_is_a_fault_like_others() -> None:
    def answer(body: Body) -> Answer:
        return ["fine"] if body["seed"] == 0 else web.Response(text="<html>back soon</html>")

    with serving(answer) as server:
        became = outcomes(server.url, *[drawn(seed=i) for i in range(6)])
    assert [type(each) for each in became[1:]] == [ItemError] * 5


def test_discarded_answer_is_a_failure_of_its_item_and_not_asked_for_again() -> None:
    choices = [
        {"message": {"content": "fine"}, "finish_reason": "stop"},
        {"message": {"content": "half of"}, "finish_reason": "content_filter"},
    ]
    body = {"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 6}}
    meter = Meter()
    with serving(lambda _: reply(200, body)) as server:
        [became] = outcomes(server.url, drawn(n=2), meter=meter)
    assert isinstance(became, AnswerDiscarded) and became.cause == "discarded" and became.retry
    assert "content_filter" in str(became) and len(server.bodies) == 1
    used = meter.take()
    assert (used.requests, used.prompt_tokens, used.completion_tokens) == (1, 5, 6)


def test_server_that_discards_every_answer_stops_the_run() -> None:
    body = {"choices": [{"message": {"content": ""}, "finish_reason": "tool_calls"}]}
    with serving(lambda _: reply(200, body)) as server:
        became = outcomes(server.url, *[drawn(seed=i) for i in range(100)])
    assert isinstance(became[98], AnswerDiscarded) and isinstance(became[99], EngineGone)
    assert re.search(r"100 in a row.*tool_calls", str(became[99]))


@pytest.mark.parametrize("usage", [None, [1], {"completion_tokens": "many"}, {"x": {"y": 1}}])
def test_odd_usage_fails_no_answer(usage: object) -> None:
    body = {"choices": [{"message": {"content": "fine"}}], "usage": usage}
    with serving(lambda _: reply(200, body)) as server:
        answer = ask(server.url)
    assert answer.choices[0].text == "fine"
    assert (answer.prompt_tokens, answer.completion_tokens) == (0, 0)


def test_content_in_chunks_is_joined() -> None:
    chunks = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "fine"}]
    with serving(lambda _: completion(chunks)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(server.bodies) == 1


WITH_SYSTEM = replace(
    request(),
    messages=(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": "Bye"},
    ),
)
FOLDED = [{"role": "user", "content": "Be brief.\n\nHi"}, *WITH_SYSTEM.messages[2:]]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (400, "System role not supported"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (422, "Only user and assistant roles are supported!"),
        (400, "Developer instruction is not enabled for models/gemma-2-9b-it"),
        (400, "'messages[0].role' does not support 'system' with this model."),
        (500, "Jinja Exception: System role not supported"),
        (500, "System role not supported"),
    ],
)
def test_system_message_that_is_refused_stands_in_the_first_turn(
    code: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(body: Body) -> Answer:
        if body["messages"][0]["role"] == "system":
            return reply(code, openai_error(said))
        return ["fine"]

    with serving(answer) as server:
        chats(server.url, WITH_SYSTEM, WITH_SYSTEM, request())
        sent = [body["messages"] for body in server.bodies]
    assert sent == [[*WITH_SYSTEM.messages], FOLDED, FOLDED, [*request().messages]]
    assert caplog.text.count("refuses a system message: it stands at the head of the first") == 1


def test_requests_in_flight_together_learn_once_that_a_system_message_is_refused() -> None:
    def answer(body: Body) -> Answer:
        if body["messages"][0]["role"] == "system":
            return reply(400, openai_error("System role not supported"))
        return ["fine"]

    async def main(engine: OpenAIEngine) -> None:
        await asyncio.gather(*(engine.chat(WITH_SYSTEM) for _ in range(4)))
        await engine.chat(WITH_SYSTEM)

    with serving(answer) as server:
        using(server.url, main)
        assert server.bodies[-1]["messages"] == FOLDED
        assert len(server.bodies) == 9


def test_what_is_refused_without_a_system_message_too_is_a_failure() -> None:
    with serving(lambda _: reply(400, openai_error("System role not supported"))) as server:
        [became] = outcomes(server.url, WITH_SYSTEM)
        assert isinstance(became, RequestRefused)
        assert [body["messages"] for body in server.bodies] == [[*WITH_SYSTEM.messages], FOLDED]
