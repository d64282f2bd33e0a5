"""Headers that a command line names and whose secrets it does not hold."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from spar_core.engine.access import Access, Header, parse_headers
from spar_core.engine.protocol import EngineGone, ItemError
from spar_core.engine.served import served_models
from tests.loopback import LoopbackServer, serving
from tests.spar_core.engine.asking import ask, good, status

SECRET = "sk-of-azure-0123"
VERSION = "projects/p/secrets/azure/versions/latest"
AZURE = (Header("api-key", "env:AZURE_KEY"),)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, quick: list[float]) -> None:
    monkeypatch.setenv("AZURE_KEY", f"{SECRET}\n")


def test_words_are_headers_whatever_their_order() -> None:
    found = parse_headers(["X-Title=my pairs = good", "api-key=env:AZURE_KEY"])
    assert found == (*AZURE, Header("X-Title", "my pairs = good"))
    assert parse_headers(["api-key=env:AZURE_KEY", "X-Title=my pairs = good"]) == found
    assert parse_headers([]) == ()
    assert parse_headers(["X-Title="]) == (Header("X-Title", ""),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["api-key"], "write a header as NAME=VALUE or NAME=env:VARIABLE"),
        (["=x"], "write a header as NAME=VALUE"),
        (["a b=x"], "'a b' is no name of a header"),
        (["X-A=1", "x-a=2"], "x-a stands there twice"),
        (["Content-Type=text/plain"], "Content-Type is set by the client"),
        (["host=a"], "host is set by the client"),
        (["X-A=env:not a variable"], "X-A=env: takes the name of an environment variable"),
        (["X-A=env:"], "X-A=env: takes the name of an environment variable"),
        (["X-A=secret:key"], "X-A=secret: takes projects/P/secrets/S/versions/V"),
        ([f"api-key={SECRET}"], "the value of api-key would stand in the command line"),
        ([f"Authorization=Bearer {SECRET}"], "the value of Authorization would stand"),
        (["X-A=a\nb"], "the value of X-A holds a control character"),
    ],
)
def test_what_is_no_header_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_headers(words)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value) and SECRET not in str(caught.value)


def test_values_are_read_where_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spar_core.engine.keys._secret", {VERSION: "kept"}.__getitem__)
    monkeypatch.setenv("A_KEY", "k")
    words = ["api-key=env:AZURE_KEY", f"X-Auth=secret:{VERSION}", "X-Title=mine", "X-None="]
    access = Access("A_KEY", parse_headers(words))
    assert access.read() == {
        "Authorization": "Bearer k",
        "api-key": SECRET,
        "X-Auth": "kept",
        "X-Title": "mine",
    }
    assert access.secrets() == {"k", SECRET, "kept"}


def test_a_header_may_take_the_place_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "k")
    monkeypatch.setenv("BASIC", "Basic abc")
    assert Access("A_KEY", parse_headers(["authorization=env:BASIC"])).read() == {
        "Authorization": "Basic abc"
    }
    assert Access("A_KEY", parse_headers(["Authorization="])).read() == {}


@pytest.mark.parametrize("value", [None, "", "a\nb"])
def test_a_variable_that_holds_no_value_is_one_line(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_KEY")
    if value is not None:
        monkeypatch.setenv("AZURE_KEY", value)
    with pytest.raises(EngineGone, match=r"^the header api-key .* AZURE_KEY") as caught:
        Access(headers=AZURE).read()
    assert "\n" not in str(caught.value)


def test_chats_and_models_carry_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def models(_: LoopbackServer, request: web.Request) -> web.Response:
        asked.append(request.headers["api-key"])
        return web.json_response({"data": [{"id": "m"}]})

    monkeypatch.setattr(LoopbackServer, "_models", models)
    with serving(lambda _: good()) as server:
        asyncio.run(served_models(server.url, Access(headers=AZURE)))
        ask(server.url, headers=AZURE)
        ask(server.url)
    assert asked == [SECRET]
    assert [head.get("api-key") for head in server.headers] == [SECRET, None]


@pytest.mark.parametrize("code", [200, 400, 401, 404, 500, 503])
def test_their_values_are_in_no_message(code: int) -> None:
    with (
        serving(lambda _: status(code, f"bad {SECRET}")) as server,
        pytest.raises((ItemError, EngineGone)) as caught,
    ):
        ask(server.url, patience_s=0.05, headers=AZURE)
    assert SECRET not in repr(caught.value)
    assert code != 401 or "see --engine_headers" in str(caught.value)


def test_they_do_not_follow_where_a_server_sends_us() -> None:
    with serving(lambda _: good()) as other:
        aside = f"{other.url}/v1/chat/completions"
        with serving(lambda _: status(307, "", Location=aside)) as server:
            assert ask(server.url, headers=AZURE).choices[0].text == "fine"
    assert server.headers[0]["api-key"] == SECRET
    assert "api-key" not in other.headers[0]
