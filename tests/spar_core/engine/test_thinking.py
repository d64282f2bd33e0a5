"""What is asked of models that think, by the kind of their server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ItemError
from spar_core.engine.request_body import WithBody
from spar_core.engine.spec import EngineSpec, identity, request_fields
from spar_core.engine.thinking import (
    EFFORTS,
    SERVERS,
    is_on,
    parse_thinking,
    thinking_fields,
    with_thinking,
)
from tests.loopback import Answer, Body, serving
from tests.spar_core.engine.asking import good, request, status

pytestmark = pytest.mark.usefixtures("quick")

LOCAL = "http://localhost:8000"


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("off", "off"),
        (" ON ", "on"),
        ("Low", "low"),
        ("2048", "2048"),
        ("default", "default"),
        ("SGLang:off", "sglang:off"),
    ],
)
def test_what_is_asked_has_one_spelling(said: str, plain: str) -> None:
    assert parse_thinking(said) == plain == parse_thinking(plain)


@pytest.mark.parametrize("said", ["", "yes", "0", "-1", "1.5", "x:off", ":off", "vllm:", "9" * 10])
def test_what_is_nothing_of_the_kind_is_one_line(said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_thinking(said)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_asks_a_model_to_think() -> None:
    asked = ["on", "low", "512", "vllm:on"]
    assert [is_on(each) for each in asked] == [True] * 4
    assert [is_on(each) for each in ("", "off", "default", "vllm:off", "vllm:default")] == (
        [False] * 5
    )


def switched(is_on: bool) -> dict[str, Any]:
    return {"chat_template_kwargs": {"enable_thinking": is_on, "thinking": is_on}}


@pytest.mark.parametrize(
    ("server", "asked", "fields"),
    [
        ("vllm", "off", switched(False)),
        ("vllm", "on", switched(True)),
        ("vllm", "high", {"reasoning_effort": "high"}),
        ("vllm", "512", {**switched(True), "thinking_token_budget": 512}),
        ("sglang", "off", switched(False)),
        ("sglang", "low", {"reasoning_effort": "low"}),
        ("llamacpp", "off", switched(False)),
        ("llamacpp", "low", {"chat_template_kwargs": {"reasoning_effort": "low"}}),
        ("ollama", "off", {"reasoning_effort": "none"}),
        ("openai", "off", {"reasoning_effort": "none"}),
        ("openai", "on", {"reasoning_effort": "medium"}),
        ("openai", "minimal", {"reasoning_effort": "minimal"}),
        ("gemini", "off", {"reasoning_effort": "none"}),
        (
            "gemini",
            "512",
            {"extra_body": {"google": {"thinking_config": {"thinking_budget": 512}}}},
        ),
        ("groq", "on", {"reasoning_effort": "default"}),
        ("mistral", "on", {"reasoning_effort": "high"}),
        ("deepseek", "off", {"thinking": {"type": "disabled"}}),
        ("deepseek", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("openrouter", "off", {"reasoning": {"enabled": False}}),
        ("openrouter", "low", {"reasoning": {"effort": "low"}}),
        ("openrouter", "512", {"reasoning": {"max_tokens": 512}}),
        ("anthropic", "512", {"thinking": {"type": "enabled", "budget_tokens": 512}}),
    ],
)
def test_fields_by_the_kind_of_server(server: str, asked: str, fields: dict[str, Any]) -> None:
    assert thinking_fields(f"{server}:{asked}", "openai", LOCAL) == fields


@pytest.mark.parametrize("server", SERVERS)
def test_every_wish_has_fields_or_is_refused_with_a_remedy(server: str) -> None:
    for asked in ("off", "on", "512", *EFFORTS):
        try:
            assert thinking_fields(f"{server}:{asked}", "openai", LOCAL)
        except ValueError as error:
            assert server in str(error) and "--engine_body" in str(error)
    assert thinking_fields(f"{server}:default", "openai", LOCAL) == {}


@pytest.mark.parametrize(
    ("kind", "url", "name"),
    [
        ("vllm", "", "chat_template_kwargs"),
        ("vllm", LOCAL, "chat_template_kwargs"),
        ("llamacpp", "", "chat_template_kwargs"),
        ("openai", "https://api.openai.com/v1", "reasoning_effort"),
        ("openai", "https://mine.openai.azure.com/openai/v1", "reasoning_effort"),
        ("openai", "https://api.deepseek.com", "thinking"),
        ("openai", "https://openrouter.ai/api/v1", "reasoning"),
    ],
)
def test_an_engine_or_a_vendors_host_tells_the_kind_of_server(
    kind: str, url: str, name: str
) -> None:
    assert [*thinking_fields("off", kind, url)] == [name]


@pytest.mark.parametrize(
    "url",
    [
        LOCAL,
        "@servers.txt",
        "https://api.openai.com.evil.example/v1",
        "https://notopenrouter.ai/v1",
        "https://api.openai.com,http://localhost:8000",
    ],
)
def test_a_server_of_an_unknown_kind_is_told_no_field(url: str) -> None:
    with pytest.raises(ValueError, match=r"vllm:off \(.*give the fields .* with --engine_body"):
        thinking_fields("off", "openai", url)
    assert thinking_fields("", "openai", url) == thinking_fields("default", "openai", url) == {}


def test_a_field_is_set_in_one_place() -> None:
    fields = thinking_fields("low", "vllm", "")
    assert with_thinking('{"top_k":20}', fields) == '{"reasoning_effort":"low","top_k":20}'
    assert with_thinking("", {}) == ""
    with pytest.raises(ValueError, match="sets reasoning_effort, which --engine_body sets, too"):
        with_thinking('{"reasoning_effort":null}', fields)


def test_it_binds_rows_as_the_fields_that_it_comes_to() -> None:
    asked = EngineSpec("vllm", "m", LOCAL, thinking="off")
    by_hand = EngineSpec("vllm", "m", LOCAL, body=asked.whole_body)
    plain = EngineSpec("vllm", "m", LOCAL)
    assert identity(asked) == identity(by_hand) != identity(plain)
    assert identity(EngineSpec("vllm", "m", LOCAL, thinking="default")) == identity(plain)
    assert asked.binding == by_hand.binding and asked.shared == plain.shared == plain


def test_a_server_that_refuses_it_is_not_asked_without_it() -> None:
    def answer(body: Body) -> Answer:
        if "reasoning_effort" not in body:
            return good()
        said = {"error": {"message": "unknown", "param": "reasoning_effort"}}
        return status(400, json.dumps(said))

    async def main(url: str) -> None:
        spec = EngineSpec("openai", "m", url, thinking="ollama:off")
        engine = OpenAIEngine(url, "m", patience_s=0.05)
        try:
            await WithBody(engine, request_fields(spec)).chat(request())
        finally:
            await engine.close()

    with serving(answer) as server:
        with pytest.raises(ItemError, match="--engine_body or --thinking gives it reasoning_eff"):
            asyncio.run(main(server.url))
        assert all(body["reasoning_effort"] == "none" for body in server.bodies)
