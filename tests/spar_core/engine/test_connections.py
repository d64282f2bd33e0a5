"""Proxies and certificates, as the environment names them, in all requests to servers."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spar_core.engine.connections import proxy_of
from spar_core.engine.machine import wait_until_up
from spar_core.engine.protocol import EngineGone, ItemError
from spar_core.engine.served import served_models
from tests.loopback import free_port, serving
from tests.spar_core.engine.asking import ask, good

ENGINE = "engine.invalid"
"""A host that only a proxy finds."""

ANSWERS = {
    "GET": {"data": [{"id": "m"}]},
    "POST": {"choices": [{"message": {"content": "fine"}}]},
}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def listening(handle: Handler, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on loopback for the time of the body; its port."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    start = asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    server = asyncio.run_coroutine_threadsafe(start, loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)


async def _reply(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str = "200 OK"
) -> str:
    """Answer a request as a server does; returns its head."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
    await reader.readexactly(int(fields.get("content-length", 0)))
    body = json.dumps(ANSWERS.get(head.split()[0], {})).encode()
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    writer.close()
    return head


class Proxy:
    """What a proxy is asked, and what it does: it answers itself, or joins to a port of ours."""

    def __init__(self, status: str = "200 OK", target: int = 0) -> None:
        self.heads: list[str] = []
        self._status, self._target = status, target

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._target:
            self.heads.append(await _reply(reader, writer, self._status))
            return
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        there = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pass(reader, there[1]), _pass(there[0], writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_chats_and_models_go_through_the_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy()
    with listening(proxy) as port:
        monkeypatch.setenv(name, f"http://me:secret@127.0.0.1:{port}")
        assert [*asyncio.run(served_models(f"http://{ENGINE}:8000"))] == ["m"]
        assert ask(f"http://{ENGINE}:8000").choices[0].text == "fine"
    assert [head.split(" HTTP")[0] for head in proxy.heads] == [
        f"GET http://{ENGINE}:8000/v1/models",
        f"POST http://{ENGINE}:8000/v1/chat/completions",
    ]
    login = base64.b64encode(b"me:secret").decode()
    assert all(f"Proxy-Authorization: Basic {login}" in head for head in proxy.heads)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_never_asked_through_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving(lambda _: good()) as server:
        url = f"http://{host}:{server.port}"
        assert [*asyncio.run(served_models(url))] == ["loopback"]
        assert ask(url).choices[0].text == "fine"


def test_a_server_that_is_started_is_waited_for_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving(lambda _: good()) as server:
        started = SimpleNamespace(url=server.url, is_up=True, why_not=lambda: "it ended")
        wait_until_up(started, "it", tmp_path / "log", 5)


@pytest.mark.parametrize(
    ("url", "is_proxied"),
    [
        ("http://engine:8000", True),
        ("https://engine", False),
        ("http://127.1.2.3:8000", False),
        ("http://[::1]:8000", False),
        ("http://a.localhost", False),
        ("http://inner:8000", False),
        ("http://a.inner:8000", False),
        ("http://other:8000", True),
        ("http://other:9000", False),
    ],
)
def test_who_is_asked_through_a_proxy(
    url: str, is_proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", "inner,other:9000")
    found, login = proxy_of(url)
    assert (found, login) == ("http://proxy:3128" if is_proxied else None, "")


def test_a_proxy_of_a_kind_that_is_not_spoken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://me:secret@proxy")
    with pytest.raises(EngineGone, match="https_proxy names a proxy of the kind socks5") as caught:
        proxy_of("https://engine")
    assert "secret" not in str(caught.value)


def test_a_proxy_that_wants_a_login_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        with listening(Proxy("407 Proxy Authentication Required")) as port:
            monkeypatch.setenv(f"{scheme}_proxy", f"http://me:secret@127.0.0.1:{port}")
            with pytest.raises(EngineGone, match=f"HTTP 407.*{scheme}_proxy") as caught:
                ask(f"{scheme}://{ENGINE}")
            with pytest.raises(EngineGone, match=f"HTTP 407.*{scheme}_proxy"):
                asyncio.run(served_models(f"{scheme}://{ENGINE}"))
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_proxy_that_is_busy_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, quick: list[float]
) -> None:
    proxy = Proxy("502 Bad Gateway")
    with listening(proxy) as port:
        monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{port}")
        with pytest.raises(EngineGone, match=r"is gone: .*HTTP 502") as caught:
            ask(f"https://{ENGINE}", patience_s=0.05)
    assert len(proxy.heads) > 1 and "secret" not in str(caught.value)


Certified = tuple[ssl.SSLContext, Path]


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """TLS of a server whose certificate nobody has signed, and the file that makes it trusted."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "spar test")])
    names = [x509.DNSName(ENGINE), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(made.public_bytes(encoding))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    return tls, tmp_path / "ca.pem"


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _reply(reader, writer)


def test_a_bundle_of_certificates_is_read(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, bundle = certified
    with listening(answering, tls) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        assert [*asyncio.run(served_models(f"https://127.0.0.1:{port}"))] == ["m"]
        assert ask(f"https://127.0.0.1:{port}").choices[0].text == "fine"


def test_a_certificate_that_nobody_vouches_for_is_told_at_once(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with listening(answering, certified[0]) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(EngineGone, match=r"certificate .*SSL_CERT_FILE"):
            asyncio.run(served_models(url))
        with pytest.raises(EngineGone, match=r"certificate .*SSL_CERT_FILE") as caught:
            ask(url)
    assert "\n" not in str(caught.value)


def test_a_bundle_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "no/such.pem")
    with pytest.raises(EngineGone, match=r"SSL_CERT_FILE names no file: no/such\.pem"):
        asyncio.run(served_models("https://127.0.0.1:1"))
    with pytest.raises((EngineGone, ItemError)):
        ask("http://127.0.0.1:1", patience_s=0)  # without TLS nobody needs it


def test_what_is_encrypted_goes_through_a_tunnel(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, bundle = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with listening(answering, tls) as target, listening(proxy := Proxy(target=target)) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert ask(f"https://{ENGINE}").choices[0].text == "fine"
    assert [head.split(" HTTP")[0] for head in proxy.heads] == [f"CONNECT {ENGINE}:443"]
