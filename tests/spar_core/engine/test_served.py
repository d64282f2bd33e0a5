"""What servers say of their models."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import web

from spar_core.engine.keys import KEY_VARIABLE
from spar_core.engine.protocol import EngineGone
from spar_core.engine.served import Card, only_model, served_models
from tests.loopback import LoopbackServer, free_port, serving


def test_only_model_is_found() -> None:
    with serving(lambda _: ["x"]) as server:
        url = f"{server.url}/v1/"
        assert only_model(url, asyncio.run(served_models(url))) == "loopback"


def lists(plain: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Card]:
    """What is read from such a list of models."""
    with listing(web.json_response(plain), monkeypatch) as server:
        return asyncio.run(served_models(server.url))


def listing(
    answer: web.Response, monkeypatch: pytest.MonkeyPatch
) -> contextlib.AbstractContextManager[LoopbackServer]:
    """A server that answers so when asked for its models."""

    async def say(_self: LoopbackServer, request: web.Request) -> web.Response:
        return answer

    monkeypatch.setattr(LoopbackServer, "_models", say)
    return serving(lambda _: ["x"])


def test_models_are_listed_with_their_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [{"id": "a", "max_model_len": 100}, {"id": "b", "max_model_len": None}, {"id": "c"}]
    said = {"a": Card(100), "b": Card(), "c": Card()}
    assert lists({"data": cards}, monkeypatch) == said


@pytest.mark.parametrize("longest", ["8192", [1], True, -1, 0, 1.5, {}])
def test_a_context_that_is_no_length_is_not_known(
    monkeypatch: pytest.MonkeyPatch, longest: object
) -> None:
    assert lists({"data": [{"id": "a", "max_model_len": longest}]}, monkeypatch) == {"a": Card()}


def test_models_are_listed_with_their_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [{"id": "a", "owned_by": "vllm"}, {"id": "b", "owned_by": None}]
    assert lists({"data": cards}, monkeypatch) == {"a": Card(owner="vllm"), "b": Card()}


def models(answer: web.Response, monkeypatch: pytest.MonkeyPatch) -> str:
    with listing(answer, monkeypatch) as server, pytest.raises(EngineGone) as caught:
        only_model(server.url, asyncio.run(served_models(server.url)))
    assert server.url in str(caught.value)
    return str(caught.value)


def test_several_models_must_be_chosen_from(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = web.json_response({"data": [{"id": "a"}, {"id": "b"}]})
    assert "a, b" in (said := models(answer, monkeypatch)) and "--model" in said


def test_server_without_a_model_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "0 models" in models(web.json_response({"data": []}), monkeypatch)


@pytest.mark.parametrize("plain", [{}, [], {"data": [{}]}, {"data": None}])
def test_server_that_lists_no_models_is_said_so(
    plain: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "/v1/models" in models(web.json_response(plain), monkeypatch)


def test_page_that_is_no_json_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert models(web.Response(text="<html>"), monkeypatch)


def test_refused_key_is_said_so_when_models_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-very-secret"
    monkeypatch.setenv(KEY_VARIABLE, key)
    said = models(web.Response(status=401, text=f"bad {key}"), monkeypatch)
    assert "OPENAI_API_KEY" in said and key not in said


def test_no_server_to_list_models_is_said_so() -> None:
    with pytest.raises(EngineGone, match="no engine answers at"):
        asyncio.run(served_models(f"http://127.0.0.1:{free_port()}"))
