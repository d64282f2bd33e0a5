"""Adapters that fit a model and those that do not, told from their headers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spar_core.engine.lora import check_adapter
from spar_core.engine.protocol import EngineGone
from tests import ggufs

Q, DOWN = "blk.0.attn_q.weight", "blk.0.ffn_down.weight"
BASE = {Q: (8, 6), DOWN: (12, 8)}
LORA = {f"{Q}.lora_a": (8, 2), f"{Q}.lora_b": (2, 6), f"{DOWN}.lora_a": (12, 2)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return ggufs.model(tmp_path / "model.gguf", **BASE)


def refused(model: Path, adapter: Path) -> str:
    """What is said of an adapter: one line that names both files."""
    with pytest.raises(EngineGone) as caught:
        check_adapter(model, adapter)
    said = str(caught.value)
    assert str(model) in said and str(adapter) in said and "\n" not in said
    return said


def test_adapter_of_the_model_fits(model: Path, tmp_path: Path) -> None:
    check_adapter(model, ggufs.adapter(tmp_path / "a.gguf", **LORA))
    check_adapter(model, ggufs.adapter(tmp_path / "embedding.gguf", **{"token_embd.weight": (9,)}))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, r"no adapter file at .*training\.gguf_adapter"),
        (lambda path: path.write_text("x" * 99), r"not a GGUF file.*training\.gguf_adapter"),
        (lambda path: ggufs.model(path, **BASE), r"no LoRA adapter.*training\.gguf_adapter"),
        (lambda path: ggufs.adapter(path, "qwen2", **LORA), r"another model.*\(qwen2, not llama\)"),
        (
            lambda path: ggufs.adapter(path, **{"blk.7.attn_q.weight.lora_a": (8, 2)}),
            r"another model.*\(which has no blk\.7\.attn_q\.weight\)",
        ),
        (
            lambda path: ggufs.adapter(path, **{f"{Q}.lora_a": (9, 2)}),
            r"\(blk\.0\.attn_q\.weight\.lora_a is 9x2 where blk\.0\.attn_q\.weight is 8x6\)",
        ),
        (lambda path: ggufs.adapter(path, **{f"{Q}.lora_b": (2, 7)}), "lora_b is 2x7 where"),
        (lambda path: ggufs.adapter(path, **{f"{Q}.lora_b": (2,)}), "lora_b is 2 where"),
    ],
    ids=["missing", "nonsense", "model", "kind", "layer", "inputs", "outputs", "flat"],
)
def test_adapter_that_does_not_fit_is_told(
    make: Callable[[Path], object], said: str, model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "a.gguf"
    make(adapter)
    assert re.search(said, refused(model, adapter))


def test_model_that_is_no_gguf_file_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights of something else entirely")
    said = refused(model, ggufs.adapter(tmp_path / "a.gguf", **LORA))
    assert "give --model one" in said
