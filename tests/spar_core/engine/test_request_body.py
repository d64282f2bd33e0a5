"""Fields that a command line adds to requests, and those that it takes out of them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import EngineGone, ItemError
from spar_core.engine.request_body import WithBody, binding, fields_of, parse_body
from spar_core.engine.scripted import ScriptedEngine
from spar_core.engine.vllm import VllmEngine
from tests.loopback import Answer, Body, serving
from tests.spar_core.engine.asking import good, request, status

pytestmark = pytest.mark.usefixtures("quick")

THINK = '{"chat_template_kwargs":{"enable_thinking":false}}'


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("{}", ""),
        (' {"b": 1, "a": null} ', '{"a":null,"b":1}'),
        ('{"chat_template_kwargs": {"enable_thinking": false}}', THINK),
        ('{"stream": false, "seed": null}', '{"seed":null,"stream":false}'),
        ('{"user": "grün"}', '{"user":"grün"}'),
    ],
)
def test_a_body_has_one_spelling(said: str, plain: str) -> None:
    assert parse_body(said) == plain
    assert parse_body(plain or "{}") == plain


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("top_k=20", "no JSON (Expecting value at character 1): write"),
        ('{"a": 1', "no JSON ("),
        ("[1]", "a list, and not a JSON object: write it as '{\"top_k\": 20}'"),
        ('"a"', "a text, and not a JSON object"),
        ("null", "null, and not a JSON object"),
        ("3", "a number, and not a JSON object"),
        ('{"a": NaN}', "no JSON (NaN is no number there)"),
        ('{"a": 1, "a": 2}', "a stands there twice"),
        ('{"messages": []}', "messages cannot be set: the client writes the chat"),
        ('{"messages": null}', "messages cannot be set: the client writes the chat"),
        ('{"model": "m"}', "model cannot be set: --model names it"),
        ('{"n": 2}', "n cannot be set: the client asks for as many answers as a stage wants"),
        ('{"stream": true}', "stream cannot be true: the client reads whole answers"),
        ('{"seed": 1}', "seed can only be null"),
        ("[" * 100_000, "no JSON ("),
    ],
)
def test_what_is_no_body_is_one_line(said: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_body(said)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_changes_no_answer_binds_nothing() -> None:
    assert binding("") == binding('{"user":"me","metadata":{"a":1},"store":false}') == ""
    assert binding('{"priority":1,"service_tier":"flex","top_k":20}') == '{"top_k":20}'
    assert (
        binding(parse_body('{"top_k": null, "a": {"user": 1}}')) == '{"a":{"user":1},"top_k":null}'
    )


def sent(
    body: str,
    answer: Any = lambda _: good(),
    kind: type[OpenAIEngine] = OpenAIEngine,
    **changes: Any,
) -> list[Body]:
    """The bodies that a server is sent for a request, with its answer's texts for good ones."""

    async def main(url: str) -> None:
        engine = kind(url, "m", patience_s=0.05)
        asked = dataclasses.replace(request(), **changes)
        try:
            await WithBody(engine, fields_of(body)).chat(asked)
        finally:
            await engine.close()

    with serving(answer) as server:
        asyncio.run(main(server.url))
    return server.bodies


def test_fields_are_added_replaced_and_taken_out() -> None:
    [plain] = sent("")
    [other] = sent('{"chat_template_kwargs":{"a":null},"seed":null,"temperature":1,"top_p":null}')
    assert other == {
        **{name: value for name, value in plain.items() if name not in ("seed", "top_p")},
        "temperature": 1,
        "chat_template_kwargs": {"a": None},
    }


def test_fields_that_a_kind_of_server_gets_are_taken_out_too() -> None:
    [plain] = sent("", kind=VllmEngine)
    [other] = sent('{"min_p":null,"top_k":20}', kind=VllmEngine)
    assert plain["top_k"] == -1 and "min_p" in plain
    assert other["top_k"] == 20 and "min_p" not in other


def refusing(name: str, value: object) -> Any:
    """A server that refuses a field unless it has this value, None for none."""

    def answer(body: Body) -> Answer:
        if body.get(name) == value:
            return good()
        return status(400, json.dumps({"error": {"message": f"bad {name}", "param": name}}))

    return answer


@pytest.mark.parametrize("name", ["top_k", "temperature", "stop", "max_tokens", "foo"])
def test_a_field_that_was_asked_for_is_never_left_out(name: str) -> None:
    body = json.dumps({name: 1})
    with pytest.raises(ItemError, match=f"--engine_body or --thinking gives it {name}"):
        sent(body, refusing(name, None), VllmEngine)


def test_what_is_learned_of_a_server_changes_no_field_that_was_asked_for() -> None:
    def answer(body: Body) -> Answer:
        return refusing("temperature", 1)(body) if body.get("temperature") == 0.7 else good()

    async def main(url: str) -> None:
        engine = OpenAIEngine(url, "m")
        await engine.chat(request())
        await WithBody(engine, {"temperature": 0.5}).chat(request())
        await engine.chat(request())
        await engine.close()

    with serving(answer) as server:
        asyncio.run(main(server.url))
    assert [body.get("temperature") for body in server.bodies] == [0.7, None, 0.5, None]


def test_a_limit_that_is_renamed_is_not_sent_under_both_names() -> None:
    bodies = sent('{"max_completion_tokens":99}', refusing("max_tokens", None))
    assert [(b.get("max_tokens"), b["max_completion_tokens"]) for b in bodies] == [
        (128, 99),
        (None, 99),
    ]


@pytest.mark.parametrize(
    ("body", "stops"), [("", ["b"]), ('{"stop":["X"]}', ["X"]), ('{"stop":null}', None)]
)
def test_answers_end_before_the_stop_texts_of_a_request(body: str, stops: list[str] | None) -> None:
    async def main(url: str) -> str:
        engine = OpenAIEngine(url, "m")
        asked = dataclasses.replace(request(), stop=("b",))
        answer = await WithBody(engine, fields_of(body)).chat(asked)
        await engine.close()
        return answer.choices[0].text

    with serving(lambda sent: ["a" if sent.get("stop") == ["b"] else "abc"]) as server:
        assert asyncio.run(main(server.url)) == "a"
    assert server.bodies[0].get("stop") == stops


def test_every_choice_that_is_asked_for_alone_has_them() -> None:
    bodies = sent('{"user":"me"}', n=3)
    assert [body["user"] for body in bodies] == ["me"] * 3


def test_an_engine_in_memory_is_handed_them() -> None:
    engine = ScriptedEngine(lambda _: ["x"])
    asyncio.run(WithBody(engine, {"a": None, "b": 1}).chat(request()))
    assert engine.requests[0].body == fields_of('{"a":null,"b":1}') == {"a": None, "b": 1}
    assert WithBody(engine, {}).name == engine.name


def test_a_server_that_refuses_it_always_stops_the_run_with_its_name() -> None:
    async def main(url: str) -> None:
        engine = WithBody(OpenAIEngine(url, "m"), {"foo": 1})
        while True:
            try:
                await engine.chat(request())
            except ItemError:
                continue

    with (
        serving(refusing("foo", None)) as server,
        pytest.raises(
            EngineGone, match=r"refuses every request .*--engine_body or --thinking gives it foo"
        ),
    ):
        asyncio.run(main(server.url))
