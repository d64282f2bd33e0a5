"""Where chats go and where models are listed, by the URL that is given of a server."""

from __future__ import annotations

import asyncio

import pytest

from spar_core.engine.endpoints import endpoint_of, has_secret, shown
from spar_core.engine.protocol import EngineGone
from spar_core.engine.served import served_models
from tests.loopback import serving
from tests.spar_core.engine.asking import ask, good

HOST = "https://host:8000"
AZURE = "/openai/deployments/D?api-version=2024-10-21"


@pytest.mark.parametrize("given", ["", "/", "/v1", "/v1/"])
def test_a_server_without_a_path_is_asked_under_v1(given: str) -> None:
    found = endpoint_of(HOST + given)
    assert found.url == HOST
    assert found.chat == f"{HOST}/v1/chat/completions"
    assert found.models == f"{HOST}/v1/models"
    assert found.root == HOST


@pytest.mark.parametrize(
    ("given", "chat", "models"),
    [
        ("/api/v1", "/api/v1/chat/completions", "/api/v1/models"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions", "/v1beta/openai/models"),
        ("/serving-endpoints", "/serving-endpoints/chat/completions", "/serving-endpoints/models"),
        ("/openai/v1", "/openai/v1/chat/completions", "/openai/v1/models"),
        (
            AZURE,
            "/openai/deployments/D/chat/completions?api-version=2024-10-21",
            "/openai/deployments/D/models?api-version=2024-10-21",
        ),
        ("/v1/chat/completions", "/v1/chat/completions", "/v1/models"),
        ("/chat/completions", "/chat/completions", "/models"),
        ("/a/chat/completions/?b=c", "/a/chat/completions?b=c", "/a/models?b=c"),
        ("?b=c", "/v1/chat/completions?b=c", "/v1/models?b=c"),
    ],
)
def test_a_path_is_used_as_it_is_given(given: str, chat: str, models: str) -> None:
    found = endpoint_of(HOST + given)
    assert (found.chat, found.models) == (HOST + chat, HOST + models)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "/v1/chat/completions"),
        ("/api/v1", "/api/v1/"),
        ("/api/v1", "/api/v1/chat/completions"),
        (AZURE, AZURE.replace("?", "/chat/completions?")),
    ],
)
def test_spellings_of_one_address_are_one(one: str, other: str) -> None:
    assert endpoint_of(HOST + one) == endpoint_of(HOST + other)
    assert endpoint_of(endpoint_of(HOST + one).url) == endpoint_of(HOST + one)


@pytest.mark.parametrize(
    ("base", "given", "path"),
    [
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1beta/openai", "/v1beta/openai", "/v1beta/openai/chat/completions"),
        (
            "/openai/deployments/D",
            AZURE,
            "/openai/deployments/D/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_chats_and_models_are_asked_for_there(base: str, given: str, path: str) -> None:
    with serving(lambda _: good(), base=base) as server:
        assert ask(server.url + given).choices[0].text == "fine"
        assert [*asyncio.run(served_models(server.url + given))] == ["loopback"]
    assert server.paths == [path]


def test_a_wrong_path_is_told_with_what_was_asked() -> None:
    with serving(lambda _: good()) as server, pytest.raises(EngineGone) as caught:
        ask(f"{server.url}/api")
    assert f"POST {server.url}/api/chat/completions" in str(caught.value)
    assert "--engine_url" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://me:secret@host/v1", "http://***@host/v1"),
        (f"{HOST}/a?key=secret&api-version=1", f"{HOST}/a?key=***&api-version=1"),
        (f"{HOST}/a?b=1&access_token=secret", f"{HOST}/a?b=1&access_token=***"),
        (f"{HOST}/a?sig=secret,{HOST}/b", f"{HOST}/a?sig=***,{HOST}/b"),
        (f"{HOST}/keys?monkey=1", f"{HOST}/keys?monkey=1"),
        ("http://user:se/cret@host/v1", "http://***@host/v1"),
        ("http://user:se?cr#et@host", "http://***@host"),
        ("http://user:se cret@host", "http://***@host"),
        ("http://user:se@cret@host", "http://***@host"),
        ("http://user:se,cret@host", "http://***@host"),
        ("http://secret@host", "http://***@host"),
        ("user:se/cret@host", "***@host"),
        ("http://a:8000,http://u:se/cret@b", "http://a:8000,http://***@b"),
        ("http://u:se/cret@b, http://a:8000", "http://***@b, http://a:8000"),
    ],
)
def test_secrets_in_urls_are_not_shown(url: str, plain: str) -> None:
    assert shown(url) == plain


@pytest.mark.parametrize(
    ("url", "has_one"),
    [
        (f"{HOST}/v1", False),
        (f"{HOST}/models/x@2", False),
        ("http://me:secret@host", True),
        ("http://me@host", True),
        (f"{HOST}/a?key=secret", True),
    ],
)
def test_secrets_in_urls_are_found(url: str, has_one: bool) -> None:
    assert has_secret(url) is has_one
