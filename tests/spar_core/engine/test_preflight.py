"""What is found wrong with servers before any work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from spar_core.engine.preflight import preflight, resolve
from spar_core.engine.protocol import EngineGone
from spar_core.engine.spec import EngineSpec, Kind
from tests.loopback import LoopbackServer, free_port, serving


@pytest.fixture
def servers() -> Iterator[list[LoopbackServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serving(lambda _: ["x"])) for _ in range(3)]


def spec(*urls: str, model: str = "") -> EngineSpec:
    return EngineSpec("openai", model, ",".join(urls))


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


def test_servers_whose_own_sampling_stays_are_told(servers: list[LoopbackServer]) -> None:
    urls = [server.url for server in servers]
    servers[0].owner = "vllm"
    [said] = preflight(spec(*urls), 9)
    assert said.startswith(f"the engine at {urls[1]} (and 1 more) is not told")
    servers[1].owner, servers[2].owner = "sglang", "llamacpp"
    assert preflight(spec(*urls), 9) == []


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_who_says_what_a_server_is_is_believed(kind: Kind, servers: list[LoopbackServer]) -> None:
    assert preflight(EngineSpec(kind, url=servers[0].url), 9) == []


def test_a_server_that_lists_no_models_is_of_no_kind_that_is_known(
    monkeypatch: pytest.MonkeyPatch, servers: list[LoopbackServer]
) -> None:
    async def nothing(_self: LoopbackServer, _request: web.Request) -> web.Response:
        return web.Response(status=404, text="no such page")

    monkeypatch.setattr(LoopbackServer, "_models", nothing)
    with serving(lambda _: ["x"]) as server:
        assert len(preflight(spec(server.url, model="m"), 9)) == 1
        assert preflight(EngineSpec("vllm", "m", server.url), 9) == []


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
