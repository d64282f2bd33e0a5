"""What says which model an engine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from spar_core.engine.llamacpp import bundled_model
from spar_core.engine.spec import EngineSpec, identity, model_path


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
    assert identity(EngineSpec("scripted", "m:f")) == {"model": "m:f"}


def test_model_is_the_bundled_one_where_none_is_named(tmp_path: Path) -> None:
    assert model_path(EngineSpec("llamacpp")) == bundled_model()
    assert model_path(EngineSpec("llamacpp", url="http://x")) is None
    assert model_path(EngineSpec("openai", str(tmp_path), url="http://x")) is None
    assert identity(EngineSpec("llamacpp"))["model"] == bundled_model().name


def test_only_a_server_of_ours_is_one_that_is_started() -> None:
    for kind in ("llamacpp", "vllm"):
        assert EngineSpec(kind).is_started and not EngineSpec(kind, url="http://x").is_started
    assert not EngineSpec("scripted", "m:f").is_started
    assert not EngineSpec("openai", url="http://x").is_started
