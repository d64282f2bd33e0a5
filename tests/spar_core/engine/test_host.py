"""The process's one engine, and what says which model it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spar_core.engine import host
from spar_core.engine.host import EngineSpec, Host, close, host_for, identity, model_path
from spar_core.engine.llamacpp import LlamaCppEngine, bundled_model
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ChatRequest, EngineGone, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.engine.vllm import VllmEngine
from tests.loopback import LoopbackServer, serving

CLOSED: list[str] = []


class Echo(ScriptedEngine):
    """Says which thread it answers on, and notes its end."""

    async def close(self) -> None:
        CLOSED.append(threading.current_thread().name)


def echo() -> Echo:
    return Echo(lambda _: [threading.current_thread().name])


def broken() -> Echo:
    raise EngineGone("no such engine")


ECHO = EngineSpec("scripted", f"{__name__}:echo")
REQUEST = ChatRequest(({"role": "user", "content": "hi"},), Sampling(0, 1, 9))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    close()
    CLOSED.clear()
    yield
    close()


def test_scripted_engine_is_made_by_the_function_named() -> None:
    made = host_for(ECHO)
    answer = made.run(made.engine.chat(REQUEST))
    assert answer.choices[0].text == "engine-loop"


def test_same_spec_has_the_same_host() -> None:
    assert host_for(ECHO) is host_for(EngineSpec("scripted", f"{__name__}:echo"))
    assert CLOSED == []


def test_another_spec_has_another_host_and_the_first_is_closed() -> None:
    first = host_for(ECHO)
    second = host_for(EngineSpec("scripted", ECHO.model, timeout_s=1))
    assert second is not first and CLOSED == ["engine-loop"]
    assert host_for(ECHO) is not first


def test_closed_engine_is_made_anew_and_closing_twice_is_fine() -> None:
    first = host_for(ECHO)
    close()
    close()
    assert CLOSED == ["engine-loop"]
    assert host_for(ECHO) is not first


def test_threads_share_one_host() -> None:
    found: list[Host] = []
    threads = [threading.Thread(target=lambda: found.append(host_for(ECHO))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


def test_engine_that_cannot_be_made_leaves_no_host_behind() -> None:
    threads = threading.active_count()
    with pytest.raises(EngineGone, match="no such engine"):
        host_for(EngineSpec("scripted", f"{__name__}:broken"))
    for thread in threading.enumerate():
        if thread.name == "engine-loop":
            thread.join(5)
    assert host._host is None and threading.active_count() <= threads
    assert host_for(ECHO).engine.name == "scripted"


@pytest.mark.parametrize(
    ("kind", "engine"),
    [("openai", OpenAIEngine), ("llamacpp", LlamaCppEngine), ("vllm", VllmEngine)],
)
def test_url_is_talked_to_and_its_only_model_found(kind: host.Kind, engine: type) -> None:
    with serving(lambda body: [body["model"]]) as server:
        made = host_for(EngineSpec(kind, url=server.url))
        assert type(made.engine) is engine and made.engine.name == "loopback"
        assert made.run(made.engine.chat(REQUEST)).choices[0].text == "loopback"
        close()


def test_model_named_is_not_looked_up() -> None:
    made = host_for(EngineSpec("openai", "mine", url="http://127.0.0.1:9"))
    assert made.engine.name == "mine"


def test_server_that_lists_no_models_may_be_told_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def say(_self: LoopbackServer, _request: web.Request) -> web.Response:
        return web.Response(status=404, text="no such page")

    monkeypatch.setattr(LoopbackServer, "_models", say)
    with serving(lambda body: [body["model"]]) as server:
        made = host_for(EngineSpec("openai", "mine", url=server.url))
        assert made.run(made.engine.chat(REQUEST)).choices[0].text == "mine"
        close()


def cards(*plain: Mapping[str, object]) -> Callable[[LoopbackServer, web.Request], Any]:
    """A server's `/v1/models` with these cards."""

    async def say(_self: LoopbackServer, _request: web.Request) -> web.Response:
        return web.json_response({"data": list(plain)})

    return say


@pytest.mark.parametrize("served", [[], ["other"], ["other", "mine"]])
def test_model_named_is_taken_whatever_the_server_lists(
    served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoopbackServer, "_models", cards(*({"id": name} for name in served)))
    with serving(lambda body: [body["model"]]) as server:
        made = host_for(EngineSpec("openai", "mine", url=server.url))
        assert made.engine.name == "mine"
        assert made.run(made.engine.chat(REQUEST)).choices[0].text == "mine"
        close()


@pytest.mark.parametrize("model", ["", "small"])
def test_context_on_the_models_card_is_kept_to(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoopbackServer, "_models", cards({"id": "small", "max_model_len": 100}))
    with serving(lambda _: ["x"]) as server:
        made = host_for(EngineSpec("openai", model, url=server.url))
        asked = replace(REQUEST, sampling=Sampling(0, 1, 200))
        with pytest.raises(EngineGone, match=r"small has a context of 100 tokens.*200") as caught:
            made.run(made.engine.chat(asked))
        assert made.run(made.engine.chat(REQUEST)).choices[0].text == "x"
        close()
    for option in ("--actor_max_tokens", "--judge_max_tokens", "--refine_max_tokens"):
        assert option in str(caught.value)
    assert len(server.bodies) == 1


def test_context_of_another_model_is_nothing_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        LoopbackServer,
        "_models",
        cards({"id": "small", "max_model_len": 100}, {"id": "large", "max_model_len": 9000}),
    )
    with serving(lambda _: ["x"]) as server:
        made = host_for(EngineSpec("openai", "large", url=server.url))
        asked = replace(REQUEST, sampling=Sampling(0, 1, 200))
        assert made.run(made.engine.chat(asked)).choices[0].text == "x"
        close()


def test_slots_of_the_spec_bound_what_is_in_flight() -> None:
    with serving(lambda _: ["x"]) as server:
        made = host_for(EngineSpec("openai", url=server.url, slots=7))
        assert isinstance(made.engine, OpenAIEngine)
        assert made.engine._gate._limit == 14
        close()


def test_openai_without_an_url_says_what_is_missing() -> None:
    with pytest.raises(EngineGone, match="--engine_url"):
        host_for(EngineSpec("openai"))


def checkpoint(folder: Path, weights: bytes, config: str = "{}") -> str:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(config)
    return str(folder)


def test_identity_follows_the_content_of_a_file(tmp_path: Path) -> None:
    one, same, other = (tmp_path / folder / "m.gguf" for folder in ("a", "b", "c"))
    for path, content in ((one, b"x" * 99), (same, b"x" * 99), (other, b"x" * 98 + b"y")):
        path.parent.mkdir()
        path.write_bytes(content)
    said = [identity(EngineSpec("llamacpp", str(path))) for path in (one, same, other)]
    assert said[0] == said[1] != said[2]
    assert said[0]["model"] == "m.gguf"


@pytest.mark.parametrize("at", [0, 1 << 19, 3 << 20])
def test_identity_sees_both_ends_of_a_large_file(tmp_path: Path, at: int) -> None:
    content = bytearray(b"x" * ((3 << 20) + 1))
    (tmp_path / "one").write_bytes(content)
    content[at] = 0
    (tmp_path / "other").write_bytes(content)
    one, other = (identity(EngineSpec("vllm", str(tmp_path / name))) for name in ("one", "other"))
    assert one["content"] != other["content"]


def test_identity_follows_weights_and_config_of_a_checkpoint(tmp_path: Path) -> None:
    folders = [
        checkpoint(tmp_path / "a", b"w"),
        checkpoint(tmp_path / "b", b"w"),
        checkpoint(tmp_path / "c", b"v"),
        checkpoint(tmp_path / "d", b"w", '{"x": 1}'),
    ]
    contents = [identity(EngineSpec("vllm", folder))["content"] for folder in folders]
    assert contents[0] == contents[1] and len(set(contents)) == 3


def test_identity_of_what_is_only_a_name_is_the_name() -> None:
    assert identity(EngineSpec("openai", "gpt", url="http://x")) == {"model": "gpt"}
    assert identity(EngineSpec("vllm", "org/name")) == {"model": "org/name"}
    assert identity(ECHO) == {"model": ECHO.model}


def test_model_is_the_bundled_one_where_none_is_named(tmp_path: Path) -> None:
    assert model_path(EngineSpec("llamacpp")) == bundled_model()
    assert model_path(EngineSpec("llamacpp", url="http://x")) is None
    assert model_path(EngineSpec("openai", str(tmp_path), url="http://x")) is None
    assert identity(EngineSpec("llamacpp"))["model"] == bundled_model().name


def test_coroutines_run_on_the_hosts_loop() -> None:
    made = host_for(ECHO)

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert made.run(loop()) is made.loop
