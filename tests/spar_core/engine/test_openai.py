"""The client against a server on loopback that answers, fails, stalls and lies."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from spar_core.engine import openai, refusals
from spar_core.engine.connections import KEEP_ALIVE_S
from spar_core.engine.keys import KEY_VARIABLE
from spar_core.engine.meter import Meter, Usage
from spar_core.engine.openai import ATTEMPTS, FAILURES_IN_A_ROW, OpenAIEngine
from spar_core.engine.protocol import (
    ChatAnswer,
    Choice,
    EngineAway,
    EngineGone,
    ItemError,
    PromptTooLong,
    RequestRefused,
)
from tests.loopback import Answer, Body, LoopbackServer, free_port, serving
from tests.spar_core.engine.asking import (
    MESSAGES,
    ask,
    completion,
    good,
    in_turn,
    request,
    status,
    using,
)

pytestmark = pytest.mark.usefixtures("quick")

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    return KEY


def test_all_choices_are_asked_for_in_one_request() -> None:
    with serving(lambda body: [f"answer {i}" for i in range(body["n"])]) as server:
        answer = ask(server.url, 3)
    assert [choice.text for choice in answer.choices] == ["answer 0", "answer 1", "answer 2"]
    assert [choice.finish_reason for choice in answer.choices] == ["stop"] * 3
    assert server.bodies == [
        {
            "model": "m",
            "messages": [dict(MESSAGES[0])],
            "n": 3,
            "seed": 3,
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 128,
        }
    ]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_url_may_end_in_v1_or_not(suffix: str) -> None:
    with serving(lambda _: ["x"]) as server:
        assert ask(server.url + suffix).choices[0].text == "x"


def test_idle_connection_is_closed_here_before_the_server_closes_it() -> None:
    async def busy_then_idle(engine: OpenAIEngine) -> None:
        await engine.chat(request())
        await engine.chat(request())
        await asyncio.sleep(KEEP_ALIVE_S + 0.2)
        await engine.chat(request())

    with serving(lambda _: ["x"]) as server:
        using(server.url, busy_then_idle)
    first, second, third = server.ports
    assert first == second != third


def test_server_that_ignores_n_is_asked_for_the_rest_with_other_seeds() -> None:
    with serving(lambda body: [f"seed {body['seed']}"]) as server:
        answer = ask(server.url, 3)
    assert [choice.text for choice in answer.choices] == ["seed 3", "seed 4", "seed 5"]
    assert [body.get("n") for body in server.bodies] == [3, None, None]
    assert answer.prompt_tokens == 3 * (len(MESSAGES[0]["content"]) // 4)


def test_choices_beyond_n_are_left_out() -> None:
    with serving(lambda _: ["a", "b", "c"]) as server:
        assert [choice.text for choice in ask(server.url, 2).choices] == ["a", "b"]


@pytest.mark.parametrize("tokens", [0, 1, 2, 7, 100, 101])
def test_tokens_are_shared_by_length_and_sum_to_the_usage(tokens: int) -> None:
    texts = ["", "x" * 10, "y" * 30]
    with serving(lambda _: completion(*texts, prompt=17, tokens=tokens)) as server:
        answer = ask(server.url, 3)
    shares = [choice.tokens for choice in answer.choices]
    assert answer.completion_tokens == sum(shares) == tokens and answer.prompt_tokens == 17
    assert min(shares) >= 0
    assert tokens < 7 or shares[0] < shares[1] < shares[2]


def test_usage_may_be_missing() -> None:
    with serving(lambda _: web.json_response({"choices": [{"message": {"content": "a"}}]})) as s:
        assert ask(s.url) == ChatAnswer((Choice("a", "stop", 0),), 0)


def test_finish_reason_is_the_servers() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "length"}
    with serving(lambda _: web.json_response({"choices": [choice]})) as server:
        assert ask(server.url).choices[0].finish_reason == "length"


def test_missing_content_is_an_empty_text() -> None:
    body = {"choices": [{"message": {"content": None}}, {"message": {"role": "assistant"}}]}
    with serving(lambda _: web.json_response(body)) as server:
        assert [choice.text for choice in ask(server.url, 2).choices] == ["", ""]


def test_half_a_surrogate_pair_is_made_storable() -> None:
    # web.json_response writes it as the escape \\ud83d, as servers do.
    with serving(lambda _: completion("a\ud83db", "\U0001f600 \x00")) as server:
        answer = ask(server.url, 2)
    assert [choice.text for choice in answer.choices] == ["a?b", "\U0001f600 \x00"]
    assert [choice.text.encode() for choice in answer.choices]


BAD_ANSWERS: dict[str, Callable[[], Answer]] = {
    "status 500": lambda: status(500),
    "status 408": lambda: status(408),
    "no JSON": lambda: web.Response(text="<html>busy</html>"),
    "JSON cut short": lambda: web.Response(text='{"choices": [{"message"'),
    "no UTF-8": lambda: web.Response(body=b'{"choices": "\xff\xfe"}'),
    "empty": web.Response,
    "null": lambda: web.json_response(None),
    "a list": lambda: web.json_response([1]),
    "an error with status 200": lambda: web.json_response({"error": {"message": "x"}}),
    "choices null": lambda: web.json_response({"choices": None}),
    "no choice": lambda: web.json_response({"choices": []}),
    "a choice that is text": lambda: web.json_response({"choices": ["x"]}),
    "a choice without message": lambda: web.json_response({"choices": [{"text": "x"}]}),
    "message null": lambda: web.json_response({"choices": [{"message": None}]}),
    "content in parts of no kind": lambda: completion([7]),
    "content a number": lambda: completion(7),
}

bad_answers = pytest.mark.parametrize("bad", BAD_ANSWERS.values(), ids=BAD_ANSWERS)


@bad_answers
def test_bad_answer_is_asked_again(bad: Callable[[], Answer]) -> None:
    with serving(in_turn(bad, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(server.bodies) == 2 and server.bodies[0] == server.bodies[1]


@bad_answers
def test_bad_answers_fail_the_item_after_five(bad: Callable[[], Answer]) -> None:
    with serving(in_turn(bad)) as server, pytest.raises(ItemError) as caught:
        ask(server.url)
    assert len(server.bodies) == ATTEMPTS == 5
    assert caught.value.attempts == 5 and caught.value.retry
    assert caught.value.cause == "engine_error"


def test_failures_message_says_what_came() -> None:
    with (
        serving(in_turn(lambda: status(500, "CUDA out\nof memory"))) as server,
        pytest.raises(ItemError, match="HTTP 500: CUDA out of memory"),
    ):
        ask(server.url)


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        '{"error": {"code": "context_length_exceeded"}}',
        "request (3156 tokens) exceeds the available context size (2048 tokens)",
    ],
)
def test_chat_that_exceeds_the_context_is_too_long_and_not_sent_again(text: str) -> None:
    with serving(lambda _: status(400, text)) as server, pytest.raises(PromptTooLong) as caught:
        ask(server.url)
    assert len(server.bodies) == 1 and caught.value.retry, "the next run may"


def strict(*refused: str) -> Callable[[Body], Answer]:
    """A server that refuses fields, one at a time, naming them."""

    def answer(body: Body) -> Answer:
        for name in refused:
            if name in body:
                return web.json_response({"error": {"message": f"Unknown: {name}"}}, status=400)
        return ["fine"]

    return answer


def test_own_sampling_of_a_server_is_switched_off_where_its_kind_is_told() -> None:
    with serving(lambda _: ["x"]) as server:
        ask(server.url)
        ask(server.url, server="vllm")
    plain, neutral = server.bodies
    assert neutral.items() > plain.items()
    assert {name: neutral[name] for name in neutral.keys() - plain.keys()} == {
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def test_fields_that_a_server_refuses_are_left_out_from_then_on_and_said_once(
    caplog: pytest.LogCaptureFixture, quick: list[float]
) -> None:
    async def twice(engine: OpenAIEngine) -> list[ChatAnswer]:
        return [await engine.chat(request()) for _ in range(2)]

    meter = Meter()
    with serving(strict("min_p", "top_k")) as server:
        answers = using(server.url, twice, server="vllm", meter=meter)
    assert [answer.choices[0].text for answer in answers] == ["fine"] * 2
    assert ["top_k" in body for body in server.bodies] == [True, True, False, False]
    assert ["min_p" in body for body in server.bodies] == [True, False, False, False]
    assert all(body["repetition_penalty"] == 1.0 for body in server.bodies)
    assert not quick, "a refusal is no reason to wait"
    [said] = caplog.messages
    assert said.startswith(f"the engine at {server.url} refuses min_p, top_k: ")
    used = meter.take()
    assert (used.requests, used.retries) == (4, 2)


def test_many_at_once_learn_the_same_once(caplog: pytest.LogCaptureFixture) -> None:
    async def at_once(engine: OpenAIEngine) -> list[ChatAnswer]:
        return await asyncio.gather(*(engine.chat(request(seed=n)) for n in range(30)))

    with serving(strict("top_k")) as server:
        assert len(using(server.url, at_once, server="vllm")) == 30
    assert len(caplog.messages) == 1


def test_a_refusal_that_stays_teaches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def answer(body: Body) -> Answer:
        return status(400, "your text speaks of top_k") if body["seed"] == 3 else ["fine"]

    async def twice(engine: OpenAIEngine) -> None:
        with pytest.raises(RequestRefused, match="speaks of top_k"):
            await engine.chat(request(seed=3))
        await engine.chat(request(seed=4))

    with serving(answer) as server:
        using(server.url, twice, server="vllm")
    assert ["top_k" in body for body in server.bodies] == [True, False, True]
    assert not caplog.messages


@pytest.mark.parametrize("code", [400, 413, 422])
def test_refused_request_is_not_sent_again(code: int) -> None:
    with (
        serving(lambda _: status(code, "unsafe")) as server,
        pytest.raises(RequestRefused, match=f"HTTP {code}: unsafe") as caught,
    ):
        ask(server.url)
    assert len(server.bodies) == 1 and caught.value.retry, "the next run may"


@pytest.mark.parametrize("code", [401, 403])
def test_refused_key_names_its_variable(code: int, key: str) -> None:
    with (
        serving(lambda _: status(code, f"bad key {KEY}")) as server,
        pytest.raises(EngineGone, match="OPENAI_API_KEY") as caught,
    ):
        ask(server.url)
    assert len(server.bodies) == 1 and key not in str(caught.value)


def test_missing_model_or_page_names_the_options() -> None:
    with (
        serving(lambda _: status(404, "no model m")) as server,
        pytest.raises(EngineGone, match=r"no model m.*--engine_url and --model"),
    ):
        ask(server.url)


def test_key_is_sent_as_bearer(key: str) -> None:
    with serving(lambda _: ["x"]) as server:
        ask(server.url)
    assert server.headers[0]["Authorization"] == f"Bearer {key}"


def test_without_a_key_none_is_sent() -> None:
    with serving(lambda _: ["x"]) as server:
        ask(server.url)
    assert "Authorization" not in server.headers[0]


def test_each_server_is_sent_the_key_that_its_variable_holds(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-judge")
    monkeypatch.delenv("NO_KEY", raising=False)
    with serving(lambda _: ["x"]) as one, serving(lambda _: ["x"]) as other:
        ask(one.url)
        ask(other.url, key="JUDGE_KEY")
        ask(other.url, key="NO_KEY")
    assert [head.get("Authorization") for head in one.headers] == [f"Bearer {key}"]
    assert [head.get("Authorization") for head in other.headers] == ["Bearer sk-judge", None]


def test_key_does_not_follow_where_a_server_sends_us(key: str) -> None:
    with serving(lambda _: ["x"]) as other:
        aside = f"{other.url}/v1/chat/completions"
        with serving(lambda _: status(307, "", Location=aside)) as server:
            assert ask(server.url).choices[0].text == "x"
    assert server.headers[0]["Authorization"] == f"Bearer {key}"
    assert "Authorization" not in other.headers[0]


@pytest.mark.parametrize("code", [200, 400, 401, 404, 500, 503])
def test_key_of_any_variable_is_in_no_message(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with (
        serving(lambda _: status(code, f"bad {KEY}")) as server,
        pytest.raises((ItemError, EngineGone)) as caught,
    ):
        ask(server.url, patience_s=0.05, key="JUDGE_KEY")
    assert "sk-very" not in repr(caught.value)
    assert code != 401 or "set JUDGE_KEY" in str(caught.value)


def test_line_end_after_the_key_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\n")
    with serving(lambda _: ["x"]) as server:
        ask(server.url)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("code", [200, 400, 404, 500, 503])
@pytest.mark.parametrize("before", [0, 60, 280, 290, 299])
def test_key_that_the_server_echoes_is_in_no_message(key: str, code: int, before: int) -> None:
    echo = "-" * before + key
    with (
        serving(lambda _: status(code, echo)) as server,
        pytest.raises((ItemError, EngineGone)) as caught,
    ):
        ask(server.url, patience_s=0.05)
    assert key not in repr(caught.value)
    assert "sk-very" not in repr(caught.value), "nor is its beginning"


def test_busy_server_is_asked_again_as_soon_as_it_says(quick: list[float]) -> None:
    busy = [lambda: status(429, Retry_After="7"), lambda: status(503, Retry_After="999")]
    with serving(in_turn(*busy, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert quick == [7, 60], "a minute at most"


def test_retry_after_that_is_a_date_or_nonsense_is_passed_over(quick: list[float]) -> None:
    makers = [
        (lambda said=said: status(429, Retry_After=said))
        for said in ("Wed, 21 Oct 2026 07:28:00 GMT", "", "soon", "nan", "-5")
    ]
    with serving(in_turn(*makers, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(quick) == 5 and all(0 <= wait <= 60 for wait in quick)


@pytest.mark.parametrize("code", [429, 502, 503, 504])
def test_busy_server_is_waited_for_beyond_five_tries(code: int) -> None:
    with serving(in_turn(*[lambda: status(code)] * 12, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(server.bodies) == 13


def test_server_that_stays_busy_is_gone_after_patience() -> None:
    began = time.monotonic()
    with (
        serving(lambda _: status(503, "loading")) as server,
        pytest.raises(EngineGone, match="loading"),
    ):
        ask(server.url, patience_s=0.2)
    assert len(server.bodies) > ATTEMPTS
    assert 0.2 <= time.monotonic() - began < 60


def test_nobody_listening_is_gone_after_patience() -> None:
    port = free_port()
    began = time.monotonic()
    with pytest.raises(EngineGone, match=f"127.0.0.1:{port} is gone: cannot connect"):
        ask(f"http://127.0.0.1:{port}", patience_s=0.2)
    assert 0.2 <= time.monotonic() - began < 60


@pytest.mark.parametrize("sign_of_life", [good, lambda: status(400)])
def test_one_items_busy_spell_alone_does_not_end_the_engine(
    sign_of_life: Callable[[], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are answered meanwhile: the request gives up on itself after twice the patience."""
    monkeypatch.setitem(refusals.IN_A_ROW, "refused", 1 << 30)

    async def main(engine: OpenAIEngine) -> BaseException | None:
        stuck = asyncio.create_task(engine.chat(request(seed=1)))
        while not stuck.done():
            with contextlib.suppress(RequestRefused):
                await engine.chat(request(seed=2))
        return stuck.exception()

    with serving(lambda body: status(503) if body["seed"] == 1 else sign_of_life()) as server:
        assert type(using(server.url, main, patience_s=1.0)) is ItemError


class Dropped(web.Response):
    """The connection is closed in the middle of the answer, or before it."""

    head = b""

    async def prepare(self, request: web.BaseRequest) -> Any:
        assert request.transport
        request.transport.write(self.head)
        request.transport.close()
        return await super().prepare(request)


class CutShort(Dropped):
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"choices": [{"mess'


class Garbled(Dropped):
    head = b"\x00\x01 what is HTTP?\r\n\r\n"


@pytest.mark.parametrize("kind", [Dropped, CutShort, Garbled])
def test_connection_that_breaks_is_tried_again(kind: type[Dropped]) -> None:
    with serving(in_turn(kind, kind, good)) as server:
        assert ask(server.url).choices[0].text == "fine"
    assert len(server.bodies) == 3


@pytest.mark.parametrize("kind", [Dropped, CutShort, Garbled])
def test_connection_that_always_breaks_fails_the_item(kind: type[Dropped]) -> None:
    with serving(in_turn(kind)) as server, pytest.raises(ItemError) as caught:
        ask(server.url)
    assert caught.value.attempts == 5 == len(server.bodies)


async def never() -> Answer:
    await asyncio.sleep(60)
    return []


def test_server_that_never_answers_fails_the_item() -> None:
    with (
        serving(lambda _: never()) as server,  # type: ignore[arg-type, return-value]
        pytest.raises(ItemError, match="no answer in time") as caught,
    ):
        ask(server.url, timeout_s=0.05)
    assert caught.value.attempts == 5


def test_server_that_answers_nobody_for_longer_than_patience_is_gone() -> None:
    with (
        serving(lambda _: never()) as server,  # type: ignore[arg-type, return-value]
        pytest.raises(EngineGone, match="no answer in time"),
    ):
        ask(server.url, timeout_s=0.05, patience_s=0.1)


def test_requests_outlast_a_restart_of_the_server() -> None:
    first = LoopbackServer(lambda _: never())  # type: ignore[arg-type, return-value]
    second: list[LoopbackServer] = []

    def restart() -> None:
        first.close()
        time.sleep(0.2)
        second.append(LoopbackServer(lambda body: [f"seed {body['seed']}"], first.port))

    async def main(engine: OpenAIEngine) -> list[ChatAnswer]:
        tasks = [asyncio.create_task(engine.chat(request(seed=i))) for i in range(20)]
        while len(first.bodies) < 20:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(restart)
        return await asyncio.gather(*tasks)

    try:
        answers = using(first.url, main, patience_s=30)
    finally:
        for server in second:
            server.close()
    assert [answer.choices[0].text for answer in answers] == [f"seed {i}" for i in range(20)]


def test_a_hundred_failures_in_a_row_end_the_engine() -> None:
    async def main(engine: OpenAIEngine) -> list[type[Exception]]:
        kinds: list[type[Exception]] = []
        for _ in range(FAILURES_IN_A_ROW):
            try:
                await engine.chat(request())
            except (ItemError, EngineGone) as error:
                kinds.append(type(error))
        return kinds

    with serving(lambda _: status(500)) as server:
        kinds = using(server.url, main)
    assert kinds == [ItemError] * 99 + [EngineAway]


def test_a_good_answer_between_failures_starts_the_count_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai, "FAILURES_IN_A_ROW", 3)

    async def main(engine: OpenAIEngine) -> None:
        for i in range(9):
            if i % 3 == 2:
                await engine.chat(request(seed=0))
            else:
                with pytest.raises(ItemError):
                    await engine.chat(request(seed=1))

    with serving(lambda body: status(500) if body["seed"] else ["fine"]) as server:
        using(server.url, main)


def outcomes(
    url: str, count: int, *, at_once: bool = False, **settings: Any
) -> list[ChatAnswer | BaseException]:
    """What became of so many requests, one after another or all at once."""

    async def main(engine: OpenAIEngine) -> list[ChatAnswer | BaseException]:
        chats = [engine.chat(request(seed=i)) for i in range(count)]
        if at_once:
            return await asyncio.gather(*chats, return_exceptions=True)
        return [(await asyncio.gather(chat, return_exceptions=True))[0] for chat in chats]

    return using(url, main, **settings)


CONTEXT = "maximum context length is 4096 tokens"


@pytest.mark.parametrize(
    ("text", "limit", "kind"),
    [("n must be 1", 20, RequestRefused), (CONTEXT, 100, PromptTooLong)],
)
def test_server_that_refuses_every_request_stops_the_run_with_its_words(
    text: str, limit: int, kind: type[ItemError]
) -> None:
    with serving(lambda _: status(400, text)) as server:
        became = outcomes(server.url, limit)
    assert [type(each) for each in became] == [kind] * (limit - 1) + [EngineGone]
    assert str(became[-1]) == (
        f"the engine at {server.url} refuses every request ({limit} in a row): HTTP 400: {text}"
    )


def test_good_answer_between_refusals_starts_their_count_anew() -> None:
    with serving(lambda body: status(400) if body["seed"] % 20 else ["fine"]) as server:
        became = outcomes(server.url, 200)
    assert not any(isinstance(each, EngineGone) for each in became)


@pytest.mark.parametrize("text", ["n must be 1", CONTEXT])
def test_server_that_refuses_a_thousand_at_once_is_noticed(text: str) -> None:
    """Of the 512 in flight some are refused before as many in a row as it takes, in any order."""
    with serving(lambda _: status(400, text)) as server:
        became = outcomes(server.url, 1024, at_once=True)
    gone = [each for each in became if isinstance(each, EngineGone)]
    assert len(gone) >= 512
    assert "refuses every request" in str(gone[0])


def test_quick_refusals_before_the_first_slow_answer_stop_nothing() -> None:
    """A tenth of a thousand prompts is refused at once, while good answers take their time."""

    async def slow() -> Answer:
        await asyncio.sleep(0.5)
        return ["fine"]

    def answer(body: Body) -> Answer:
        return status(400, "unsafe") if body["seed"] % 10 == 0 else slow()  # type: ignore[return-value]

    with serving(answer) as server:
        became = outcomes(server.url, 1024, at_once=True, slots=512)
    assert sum(isinstance(each, RequestRefused) for each in became) == 103
    assert sum(isinstance(each, ChatAnswer) for each in became) == 1024 - 103


@pytest.mark.parametrize("n", [1, 3])
def test_sequences_in_flight_are_bounded_and_all_requests_answered(n: int) -> None:
    lock, now, most = threading.Lock(), 0, 0

    async def slow() -> Answer:
        nonlocal now, most
        with lock:
            now += n
            most = max(most, now)
        await asyncio.sleep(0.005)
        with lock:
            now -= n
        return ["x"] * n

    async def main(engine: OpenAIEngine) -> list[ChatAnswer]:
        return await asyncio.gather(*[engine.chat(request(n, seed=i)) for i in range(40)])

    with serving(lambda _: slow()) as server:  # type: ignore[arg-type, return-value]
        answers = using(server.url, main, slots=4)
    assert len(answers) == 40 == len(server.bodies)
    assert all(len(answer.choices) == n for answer in answers)
    assert most == 8 // n * n, "twice the slots, and all of them where there is work"


def test_meter_counts_requests_retries_and_tokens() -> None:
    meter = Meter()
    with serving(in_turn(lambda: status(500), lambda: completion("a"))) as server:
        ask(server.url, meter=meter)
    used = meter.take()
    assert [used.requests, used.retries, used.replayed] == [2, 1, 0]
    assert [used.prompt_tokens, used.completion_tokens] == [10, 12]
    assert meter.completion_tokens == 12 and meter.sequences == 0
    assert used.slots == [1] and len(used.latencies_ms) == 1, "a request, however often sent"
    assert used.engine_s > 0


def account(used: Usage) -> tuple[int, int, int]:
    return used.requests, used.prompt_tokens, used.completion_tokens


def told(server: LoopbackServer) -> tuple[int, int, int]:
    return len(server.bodies), server.prompt_tokens, server.completion_tokens


FAULTY: dict[str, Callable[[Body, int], Answer]] = {
    "no faults": lambda body, _: ["x" * 40] * body["n"],
    "faults": lambda body, turn: status(500) if turn % 3 else ["x" * 40] * body["n"],
    "n ignored": lambda body, _: ["x" * (body["seed"] % 50)],
    "top-ups fail": lambda body, turn: status(500) if turn % 2 else ["x" * 40],
    "top-ups are refused": lambda body, _: status(400) if body["n"] < 3 else ["x" * 40],
    "refusals": lambda body, turn: status(422) if turn % 2 else ["x"] * body["n"],
    "busy": lambda body, turn: status(429, Retry_After="0") if turn % 4 else ["x"] * body["n"],
    "lost": lambda body, turn: Dropped() if turn % 2 else ["x" * 9] * body["n"],
}


@pytest.mark.parametrize("script", FAULTY.values(), ids=FAULTY)
def test_account_is_the_servers_own(script: Callable[[Body, int], Answer]) -> None:
    meter, turn = Meter(), 0

    def answer(body: Body) -> Answer:
        nonlocal turn
        turn += 1
        return script(body, turn - 1)

    async def main(engine: OpenAIEngine) -> None:
        chats = [engine.chat(request(4, seed=10 * i)) for i in range(40)]
        for outcome in await asyncio.gather(*chats, return_exceptions=True):
            assert isinstance(outcome, ChatAnswer | ItemError | EngineGone)

    with serving(answer) as server:
        using(server.url, main, meter=meter, slots=8)
    used = meter.take()
    assert account(used) == told(server)
    sent = [str(body) for body in server.bodies]
    assert used.retries == len(sent) - len(set(sent)), "what was sent again, nothing else"


@pytest.mark.parametrize("choices", [[], [{"text": "x"}], None])
def test_tokens_of_an_answer_that_is_of_no_use_are_counted(choices: object) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 12}
    bad = {"choices": choices, "usage": usage}
    meter = Meter()
    with serving(in_turn(lambda: web.json_response(bad), lambda: completion("a"))) as server:
        ask(server.url, meter=meter)
    assert account(meter.take()) == (2, 20, 24)


def test_what_no_server_had_is_no_request() -> None:
    meter = Meter()
    with pytest.raises(EngineGone):
        ask(f"http://127.0.0.1:{free_port()}", patience_s=0.1, meter=meter)
    used = meter.take()
    assert (used.requests, used.retries, len(used.latencies_ms)) == (0, 0, 1)


def test_meter_notes_all_sequences_in_flight_and_requests_that_fail() -> None:
    meter = Meter()
    with serving(lambda body: status(400) if body["n"] == 2 else ["x"] * body["n"]) as server:
        ask(server.url, 5, meter=meter)
        with pytest.raises(RequestRefused):
            ask(server.url, 2, meter=meter)
    used = meter.take()
    assert used.slots == [5, 2] and len(used.latencies_ms) == 2
    assert (used.requests, meter.sequences) == (2, 0)


def test_cancelled_request_leaves_its_room_and_the_meter() -> None:
    meter = Meter()

    async def main(engine: OpenAIEngine) -> None:
        stuck = asyncio.create_task(engine.chat(request(2, seed=1)))
        while not meter.sequences:
            await asyncio.sleep(0.001)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        assert meter.sequences == 0
        async with asyncio.timeout(5):
            await engine.chat(request(2, seed=2))

    with serving(
        lambda body: never() if body["seed"] == 1 else ["x"] * 2  # type: ignore[arg-type, return-value]
    ) as server:
        using(server.url, main, slots=1, meter=meter)


@pytest.mark.parametrize("context", [100, 128])
def test_answers_that_fill_the_context_end_the_run_and_name_the_options(context: int) -> None:
    with serving(lambda _: ["x"]) as server, pytest.raises(EngineGone) as caught:
        ask(server.url, context=context, name="the model")
    said = str(caught.value)
    assert f"the model has a context of {context} tokens" in said and "answers of 128" in said
    for option in ("--actor_max_tokens", "--judge_max_tokens", "--refine_max_tokens"):
        assert option in said
    assert server.bodies == []


@pytest.mark.parametrize("context", [129, None])
def test_answers_shorter_than_the_context_are_asked_for(context: int | None) -> None:
    with serving(lambda _: ["x"]) as server:
        assert ask(server.url, context=context).choices[0].text == "x"
