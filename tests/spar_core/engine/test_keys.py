"""Keys are read where they are kept, by those who need them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from spar_core.engine import keys
from spar_core.engine.keys import is_place, mending, read_key
from spar_core.engine.protocol import EngineGone

VERSION = "projects/p/secrets/engine/versions/latest"


@pytest.mark.parametrize(
    ("said", "is_one"),
    [
        ("OPENAI_API_KEY", True),
        (VERSION, True),
        ("projects/p/locations/europe-west4/secrets/s/versions/7", True),
        ("projects/p/secrets/s", False),
        ("sk-123", False),
        ("hf_abc", False),
        ("", False),
        (f"{VERSION} ", False),
    ],
)
def test_a_key_itself_is_no_place(said: str, is_one: bool) -> None:
    assert is_place(said) == is_one


def test_a_variable_is_read_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    assert read_key("MY_KEY") == ""
    monkeypatch.setenv("MY_KEY", " k\n")
    assert read_key("MY_KEY") == "k"
    assert mending("MY_KEY") == "set MY_KEY in the environment"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Secret Manager on loopback that holds one secret; the versions that it was asked for."""
    grpc = pytest.importorskip("grpc")
    module = pytest.importorskip("google.cloud.secretmanager", reason="needs the extra gcp")
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport,
    )

    asked: list[str] = []

    def access(request: bytes, context: object) -> bytes:
        name = module.AccessSecretVersionRequest.deserialize(request).name
        asked.append(name)
        if name != VERSION:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")  # type: ignore[attr-defined]
        said = module.AccessSecretVersionResponse(name=name, payload={"data": b"sk-kept\n"})
        return bytes(module.AccessSecretVersionResponse.serialize(said))

    service = "google.cloud.secretmanager.v1.SecretManagerService"
    handler = grpc.method_handlers_generic_handler(
        service, {"AccessSecretVersion": grpc.unary_unary_rpc_method_handler(access)}
    )
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = module.SecretManagerServiceClient

    def here() -> object:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        return client(transport=SecretManagerServiceGrpcTransport(channel=channel))

    monkeypatch.setattr(module, "SecretManagerServiceClient", here)
    keys._secret.cache_clear()
    yield asked
    keys._secret.cache_clear()
    server.stop(None)


def test_a_secret_is_fetched_once(manager: list[str]) -> None:
    assert [read_key(VERSION) for _ in range(3)] == ["sk-kept"] * 3
    assert manager == [VERSION]


def test_a_secret_that_one_may_not_read_is_said_in_a_line(manager: list[str]) -> None:
    other = VERSION.replace("engine", "other")
    with pytest.raises(EngineGone, match=rf"^cannot read the key at {other}: .*not for you$"):
        read_key(other)


def test_without_credentials_it_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.cloud.secretmanager", reason="needs the extra gcp")
    from google.auth.exceptions import DefaultCredentialsError

    def nobody(**_: object) -> object:
        raise DefaultCredentialsError("no credentials\nfound")

    monkeypatch.setattr("google.auth.default", nobody)
    keys._secret.cache_clear()
    with pytest.raises(EngineGone, match=r"^cannot read the key at .*: no credentials found$"):
        read_key(VERSION)
