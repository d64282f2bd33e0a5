"""The scripted engine."""

from __future__ import annotations

import asyncio

import pytest

from spar_core.engine.meter import Meter
from spar_core.engine.protocol import ChatRequest, PromptTooLong, Sampling
from spar_core.engine.scripted import ScriptedEngine

REQUEST = ChatRequest(({"role": "user", "content": "12345678"},), Sampling(0, 1, 9), n=2)


def test_script_is_answered_and_remembered() -> None:
    engine = ScriptedEngine(lambda request: ["x" * 12, ""][: request.n])
    answer = asyncio.run(engine.chat(REQUEST))
    assert [choice.text for choice in answer.choices] == ["x" * 12, ""]
    assert (answer.prompt_tokens, answer.completion_tokens) == (2, 3 + 1)
    assert engine.requests == [REQUEST]


def test_requests_need_not_be_remembered() -> None:
    engine = ScriptedEngine(lambda _: [""], remember=False)
    asyncio.run(engine.chat(REQUEST))
    assert engine.requests == []


def test_script_may_raise_what_an_engine_may() -> None:
    def script(_: ChatRequest) -> list[str]:
        raise PromptTooLong("long")

    with pytest.raises(PromptTooLong):
        asyncio.run(ScriptedEngine(script).chat(REQUEST))


def test_meter_counts_what_was_asked() -> None:
    meter = Meter()
    asyncio.run(ScriptedEngine(lambda _: ["x" * 12], meter).chat(REQUEST))
    used = meter.take()
    assert [used.requests, used.prompt_tokens, used.completion_tokens] == [1, 2, 3]
