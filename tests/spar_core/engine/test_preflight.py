"""What is found wrong with servers before any work is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from spar_core.engine import served
from spar_core.engine.preflight import preflight, resolve
from spar_core.engine.protocol import EngineGone
from spar_core.engine.spec import EngineSpec, Kind
from tests.loopback import Answer, Body, LoopbackServer, free_port, serving


@pytest.fixture
def servers() -> Iterator[list[LoopbackServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(lambda _: ["x"])) for _ in range(3)]


def spec(*urls: str, model: str = "") -> EngineSpec:
    return EngineSpec("openai", model, ",".join(urls))


def lists(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[], web.Response], after_s: float = 0
) -> None:
    """Have servers give a new `answer()` to every request for their models."""

    async def say(_self: LoopbackServer, _request: web.Request) -> web.Response:
        await asyncio.sleep(after_s)
        return answer()

    monkeypatch.setattr(LoopbackServer, "_models", say)


def first(spec: EngineSpec) -> str:
    """What is said of the servers' addresses and models, of a kind whose sampling is known."""
    [said] = preflight(replace(spec, kind="vllm"), 9)
    return said


def away() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_model_is_the_one_that_all_have_whatever_their_order(servers: list[LoopbackServer]) -> None:
    servers[0].models = ["a", "b"]
    servers[1].models = ["b"]
    servers[2].models = ["c", "b"]
    urls = [server.url for server in servers]
    for some in (urls, urls[::-1], urls[1:] + urls[:1]):
        assert resolve(spec(*some)).model == "b"
        preflight(spec(*some), 9)


def test_servers_without_a_model_in_common_are_refused(servers: list[LoopbackServer]) -> None:
    servers[1].models = ["other"]
    with pytest.raises(EngineGone, match="no model in common") as caught:
        resolve(spec(*(server.url for server in servers)))
    said = str(caught.value)
    assert f"{servers[1].url}: other" in said and "\n" not in said


def test_servers_with_two_models_in_common_are_to_be_told_one(
    servers: list[LoopbackServer],
) -> None:
    for server in servers:
        server.models = ["a", "b"]
    with pytest.raises(EngineGone, match=r"serves 2 models \(a, b\): choose one with --model"):
        resolve(spec(*(server.url for server in servers)))


def test_one_of_another_model_is_named(servers: list[LoopbackServer]) -> None:
    servers[2].models = ["other"]
    urls = [server.url for server in servers]
    with pytest.raises(EngineGone) as caught:
        preflight(spec(*urls, model="loopback"), 9)
    assert str(caught.value) == (
        f"the engine at {urls[2]} does not serve loopback, but other: see --model"
    )


def test_some_may_be_away_but_not_all(servers: list[LoopbackServer]) -> None:
    some = spec(away(), servers[0].url, away())
    assert resolve(some).model == "loopback"
    preflight(some, 9)
    with pytest.raises(EngineGone, match=r"no engine answers at .* \(nor at 1 others\)"):
        preflight(spec(away(), away(), model="m"), 9)
    with pytest.raises(EngineGone, match="no engine answers at"):
        preflight(spec(away(), model="m"), 9)


def test_where_chats_go_is_told(servers: list[LoopbackServer]) -> None:
    one, two, three = (server.url for server in servers)
    assert first(spec(one)) == (
        f"chats go to {one}/v1/chat/completions, model loopback: its list of models has it"
    )
    assert first(spec(one, two, three)).startswith(
        f"chats go to {one}/v1/chat/completions (and 2 more), model loopback: "
    )
    assert not any(server.bodies for server in servers), "their lists tell enough"


@pytest.mark.parametrize(
    ("listed", "model"),
    [
        ("models/m-2.5", "m-2.5"),
        ("m-2.5", "models/m-2.5"),
        ("m:latest", "m"),
        ("m", "m:latest"),
    ],
)
def test_a_model_may_be_listed_by_a_longer_name(
    listed: str, model: str, servers: list[LoopbackServer]
) -> None:
    servers[0].models = ["other", listed]
    assert first(spec(servers[0].url, model=model)).endswith(
        f", model {model}: its list of models has it as {listed}"
    )
    for other in (f"{model}:7b", f"{model}x", f"x/{model}"):
        with pytest.raises(EngineGone, match="does not serve"):
            preflight(spec(servers[0].url, model=other), 9)


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (lambda: web.Response(status=404), "missing (HTTP 404)"),
        (lambda: web.Response(status=405), "missing (HTTP 405)"),
        (lambda: web.Response(status=401), "forbidden (HTTP 401)"),
        (lambda: web.Response(status=403), "forbidden (HTTP 403)"),
        (lambda: web.Response(status=500), "an error (HTTP 500)"),
        (lambda: web.Response(text="<html>"), "something else than a list"),
        (lambda: web.json_response({"error": "no"}), "something else than a list"),
        (lambda: web.json_response({"data": []}), "empty"),
    ],
)
def test_a_server_that_does_not_tell_its_models_is_asked_for_a_chat(
    answer: Callable[[], web.Response],
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    servers: list[LoopbackServer],
) -> None:
    lists(monkeypatch, answer)
    with serving(lambda _: ["x"]) as server:
        asked = replace(spec(server.url, model="m"), body='{"user":"me"}')
        assert first(asked).endswith(
            f", model m: its list of models is {how}, but it answers a short chat"
        )
        [body] = server.bodies
        assert (body["model"], body["max_tokens"], body["user"]) == ("m", 16, "me")
        if how != "empty":
            with pytest.raises(EngineGone, match=r"--model|OPENAI_API_KEY"):
                resolve(spec(server.url))


def test_a_list_that_takes_long_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch, servers: list[LoopbackServer]
) -> None:
    monkeypatch.setattr(served, "TIMEOUT_S", 0.2)
    lists(monkeypatch, web.Response, after_s=1)
    with serving(lambda _: ["x"]) as server:
        said = first(spec(server.url, model="m"))
        assert "its list of models is slow (no answer in" in said
        with pytest.raises(EngineGone, match=r"takes longer than .* name one with --model"):
            resolve(spec(server.url))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (401, "refuses the key .* set OPENAI_API_KEY in the environment"),
        (404, "has no such page or model .POST .*/v1/chat/completions: HTTP 404"),
        (503, "is gone: HTTP 503"),
    ],
)
def test_a_server_that_answers_no_chat_either_is_refused(
    code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(monkeypatch, lambda: web.Response(status=403))
    with (
        serving(lambda _: web.Response(status=code, text="no")) as server,
        pytest.raises(EngineGone, match=message),
    ):
        preflight(replace(spec(server.url, model="m"), patience_s=0), 9)


def test_a_chat_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lists(monkeypatch, lambda: web.Response(status=404))
    with serving(lambda _: web.Response(status=400, text="no hellos")) as server:
        said = first(spec(server.url, model="m"))
    assert said.endswith("and it refuses a short chat (HTTP 400: no hellos)")


def test_what_a_short_chat_shows_to_be_refused_is_left_to_the_run_to_tell(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(body: Body) -> Answer:
        if "top_p" in body:
            return web.json_response({"error": {"param": "top_p"}}, status=400)
        return ["x"]

    lists(monkeypatch, lambda: web.Response(status=404))
    with serving(answer) as server:
        said = first(spec(server.url, model="m"))
        assert said.endswith("but it answers a short chat") and len(server.bodies) == 2
    assert not caplog.messages


def test_of_several_those_that_tell_nothing_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, servers: list[LoopbackServer]
) -> None:
    """One lists the model, one lists nothing and answers, one is away."""
    servers[0].models, servers[1].models = ["m"], []
    urls = [servers[0].url, servers[1].url, away()]
    told = preflight(EngineSpec("vllm", "m", ",".join(urls), patience_s=0), 9)
    assert [
        said.partition(": ")[2] for said in (each.partition("model m")[2] for each in told)
    ] == [
        "its list of models has it",
        "its list of models is empty, but it answers a short chat",
    ]
    assert resolve(spec(*urls[1:], servers[0].url, model="m")).model == "m"


def test_servers_whose_own_sampling_stays_are_told(servers: list[LoopbackServer]) -> None:
    urls = [server.url for server in servers]
    servers[0].owner = "vllm"
    [_, said] = preflight(spec(*urls), 9)
    assert said.startswith(f"the engine at {urls[1]} (and 1 more) is not told")
    servers[1].owner, servers[2].owner = "sglang", "llamacpp"
    assert len(preflight(spec(*urls), 9)) == 1


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_who_says_what_a_server_is_is_believed(kind: Kind, servers: list[LoopbackServer]) -> None:
    assert len(preflight(EngineSpec(kind, url=servers[0].url), 9)) == 1


def test_a_server_that_lists_no_models_is_of_no_kind_that_is_known(
    monkeypatch: pytest.MonkeyPatch, servers: list[LoopbackServer]
) -> None:
    lists(monkeypatch, lambda: web.Response(status=404, text="no such page"))
    with serving(lambda _: ["x"]) as server:
        assert len(preflight(spec(server.url, model="m"), 9)) == 2
        assert len(preflight(EngineSpec("vllm", "m", server.url), 9)) == 1


def test_file_of_urls_is_read(tmp_path: Path, servers: list[LoopbackServer]) -> None:
    file = tmp_path / "engines.txt"
    file.write_text("\n".join(server.url for server in servers))
    assert resolve(spec(f"@{file}")).model == "loopback"
    file.write_text("nonsense")
    for check in (resolve, lambda each: preflight(each, 9)):
        with pytest.raises(EngineGone, match=r"engines\.txt:1: nonsense is no URL"):
            check(spec(f"@{file}"))


def test_names_and_passwords_in_urls_are_in_no_message(servers: list[LoopbackServer]) -> None:
    port = servers[0].port
    with pytest.raises(EngineGone, match=r"http://\*\*\*@127\.0\.0\.1") as caught:
        preflight(spec(f"http://me:secret@127.0.0.1:{port}", model="other"), 9)
    assert "secret" not in str(caught.value)
    with pytest.raises(EngineGone, match="no engine answers") as caught:
        preflight(spec(away().replace("//", "//me:secret@"), model="other"), 9)
    assert "secret" not in str(caught.value)
