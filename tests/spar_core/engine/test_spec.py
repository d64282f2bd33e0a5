"""What says which model an engine is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spar_core.engine import bundled
from spar_core.engine.bundled import bundled_model
from spar_core.engine.spec import EngineSpec, Kind, adapter_path, identity, model_path


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
    for spec in (EngineSpec("openai", "gpt", url="http://x"), EngineSpec("vllm", "gpt")):
        assert identity(spec) == {"model": "gpt", "arguments": "none"}, "servers may change places"
    assert identity(EngineSpec("scripted", "m:f")) == {"model": "m:f"}


def test_identity_follows_the_arguments_of_a_server_that_is_started() -> None:
    def said(arguments: str, url: str = "") -> str:
        return identity(EngineSpec("vllm", "org/name", url, arguments=arguments))["arguments"]

    assert said("--quantization fp8 -tp 8") == "--quantization fp8"
    assert said("-tp 8") == "none"
    assert said("--quantization fp8", "http://x") == "none", (
        "what runs was started by somebody else"
    )
    assert "arguments" not in identity(EngineSpec("llamacpp", arguments="--quantization fp8"))


def test_identity_follows_what_is_added_to_requests_where_it_changes_answers() -> None:
    spec = EngineSpec("openai", "m", "http://a")
    assert identity(replace(spec, body='{"user":"me"}')) == identity(spec)
    assert identity(replace(spec, body='{"top_k":20,"user":"me"}')) == {
        **identity(spec),
        "body": '{"top_k":20}',
    }


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "tokenizer_config.json", "generation_config.json"]
)
def test_identity_follows_what_a_checkpoint_says_of_chats(tmp_path: Path, name: str) -> None:
    folders = [checkpoint(tmp_path / each, b"w") for each in "abc"]
    for folder, text in zip(folders, ("{{ x }}", "{{ x }}", "{{ y }}"), strict=True):
        Path(folder, name).write_text(text)
    Path(folders[1], "README.md").write_text("a card")
    said = [identity(EngineSpec("vllm", folder)) for folder in folders]
    assert len({each["content"] for each in said}) == 1
    assert said[0]["chat"] == said[1]["chat"] != said[2]["chat"]
    urls = [identity(EngineSpec("vllm", f"file://{folder}")) for folder in folders]
    assert len({each["chat"] for each in urls}) == 3, "a file system tells copies apart"


def test_identity_follows_the_adapter_where_there_is_one(tmp_path: Path) -> None:
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    plain = identity(EngineSpec("llamacpp"))
    assert set(plain) == {"model", "content"}, "claims of earlier runs hold"
    said = [identity(EngineSpec("llamacpp", adapter=str(path))) for path in (one, other)]
    assert [each["adapter"] for each in said] == ["one.gguf", "other.gguf"]
    assert said[0]["adapter_content"] != said[1]["adapter_content"]
    for each in said:
        assert each.items() >= plain.items()
        assert set(each) - set(plain) == {"adapter", "adapter_content"}


def test_another_adapter_makes_another_engine() -> None:
    plain = EngineSpec("llamacpp")
    one, same, other = (EngineSpec("llamacpp", adapter=name) for name in ("a", "a", "b"))
    assert one == same and len({plain, one, same, other}) == 3


@pytest.mark.parametrize(
    ("kind", "url"),
    [("llamacpp", "http://x"), ("vllm", "http://x"), ("openai", "http://x"), ("scripted", "")],
)
def test_only_engines_that_are_started_have_an_adapter(kind: Kind, url: str) -> None:
    with pytest.raises(ValueError, match=r"an adapter is for llama\.cpp or vLLM that is started"):
        EngineSpec(kind, "m", url, adapter="a")


def test_model_is_the_bundled_one_where_none_is_named(tmp_path: Path) -> None:
    assert model_path(EngineSpec("llamacpp")) == bundled_model()
    assert model_path(EngineSpec("llamacpp", url="http://x")) is None
    assert model_path(EngineSpec("openai", str(tmp_path), url="http://x")) is None
    assert identity(EngineSpec("llamacpp"))["model"] == bundled_model().name
    assert adapter_path(EngineSpec("llamacpp")) is None
    assert adapter_path(EngineSpec("llamacpp", adapter="a")) == Path("a")
    assert adapter_path(EngineSpec("llamacpp", adapter="bundled")) == bundled.BUNDLED_ADAPTER


def test_only_a_server_of_ours_is_one_that_is_started() -> None:
    for kind in ("llamacpp", "vllm"):
        assert EngineSpec(kind).is_started and not EngineSpec(kind, url="http://x").is_started
    assert not EngineSpec("scripted", "m:f").is_started
    assert not EngineSpec("openai", url="http://x").is_started
