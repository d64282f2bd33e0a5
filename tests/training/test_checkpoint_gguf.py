"""Checkpoints as GGUF: names, order and precision of the weights, metadata, and what is refused."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, dequantize
from safetensors.torch import load_file, save_file

from spar_core.engine.bundled import bundled_model
from spar_core.engine.llamacpp import LlamaCppServer
from training import checkpoint_gguf, gguf_checkpoint
from training.gguf_adapter import permuted

HEADS, KEY_HEADS = 2, 1
"""The tiny model's."""


def tensors(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    return {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(file).tensors}


def like(model: Path, file: Path, without: str = "", architecture: str = "llama") -> Path:
    """A GGUF file of the tiny model, all of whose weights are 0."""
    writer = GGUFWriter(file, architecture)
    writer.add_uint32("llama.block_count", 2)
    writer.add_file_type(1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    names = {"embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, weight in load_file(model / "model.safetensors").items():
        found = next((ours for theirs, ours in names.items() if theirs in name), None)
        if found is None:
            _, _, layer, *part, _ = name.split(".")
            part_name = ".".join(part)
            modules = {
                **checkpoint_gguf.MODULES,
                "input_layernorm": "attn_norm",
                "post_attention_layernorm": "ffn_norm",
            }
            found = f"blk.{layer}.{modules[part_name]}"
        if found != without:
            zeros = np.zeros(weight.shape, np.float32)
            writer.add_tensor(f"{found}.weight", zeros, raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_weights_are_the_checkpoints_and_metadata_the_other_files(
    model: Path, tmp_path: Path
) -> None:
    base, made = like(model, tmp_path / "base.gguf"), tmp_path / "new" / "made.gguf"
    assert checkpoint_gguf.convert(model, base, made) == len(tensors(base))
    weights = {
        name: w.float().numpy() for name, w in load_file(model / "model.safetensors").items()
    }
    found = tensors(made)
    query = permuted(weights["model.layers.1.self_attn.q_proj.weight"], HEADS)
    key = permuted(weights["model.layers.0.self_attn.k_proj.weight"], KEY_HEADS)
    for name, expected in {
        "blk.1.attn_q.weight": query,
        "blk.0.attn_k.weight": key,
        "blk.0.ffn_down.weight": weights["model.layers.0.mlp.down_proj.weight"],
        "token_embd.weight": weights["model.embed_tokens.weight"],
    }.items():
        largest = np.abs(expected).max()
        np.testing.assert_allclose(found[name], expected, atol=largest / 127)
    np.testing.assert_array_equal(found["output_norm.weight"], weights["model.norm.weight"])
    reader = GGUFReader(made)
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    assert reader.fields["llama.block_count"].types == [GGUFValueType.UINT32]
    assert reader.fields["general.file_type"].contents() == 7
    assert [each.name for each in made.parent.iterdir()] == ["made.gguf"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("no model", "no config.json"),
        ("no weights", r"no \*.safetensors in"),
        ("no GGUF", "no GGUF file at"),
        ("bad GGUF", "is no GGUF file"),
        ("other architecture", "is no GGUF file of the Llama architecture"),
        ("unknown weight", "which no plain Llama has"),
        ("other shape", "is of another shape"),
        ("weight lacking", "lacks blk.1.attn_q.weight"),
    ],
)
def test_bad_input_is_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, says: str
) -> None:
    folder, base = tmp_path / "checkpoint", tmp_path / "base.gguf"
    folder.mkdir()
    if change != "no model":
        (folder / "config.json").write_text((model / "config.json").read_text())
    weights = load_file(model / "model.safetensors")
    like(model, base, architecture="gemma" if change == "other architecture" else "llama")
    if change == "unknown weight":
        weights["model.layers.0.self_attn.q_norm.weight"] = weights["model.norm.weight"].clone()
    elif change == "other shape":
        weights["model.norm.weight"] = weights["model.norm.weight"][:-1].clone()
    elif change == "weight lacking":
        del weights["model.layers.1.self_attn.q_proj.weight"]
    elif change == "no GGUF":
        base.unlink()
    elif change == "bad GGUF":
        base.write_bytes(b"GGUF, or so it says")
    if change != "no weights":
        save_file(weights, folder / "model.safetensors")
    argv = ["--model", str(folder), "--like", str(base), "--output", str(tmp_path / "made.gguf")]
    assert checkpoint_gguf.main(argv) == 2
    said = capsys.readouterr().err
    assert re.search(says, said)
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("made*"))


@pytest.mark.slow
@pytest.mark.engine
def test_bundled_model_there_and_back_is_the_same_model_to_llama_cpp(tmp_path: Path) -> None:
    checkpoint, again = tmp_path / "checkpoint", tmp_path / "again.gguf"
    assert gguf_checkpoint.main(["--model", str(bundled_model()), "--output", str(checkpoint)]) == 0
    checkpoint_gguf.convert(checkpoint, bundled_model(), again)
    made = tensors(again)
    for name, before in tensors(bundled_model()).items():
        assert np.linalg.norm(made[name] - before) < 0.01 * np.linalg.norm(before), name
    server = LlamaCppServer(again, slots=1)
    try:
        assert len(_greedy(server.url).split()) > 3
    finally:
        server.close()


def _greedy(url: str) -> str:
    body = {
        "messages": [{"role": "user", "content": "Name three colours of the rainbow."}],
        "temperature": 0,
        "max_tokens": 16,
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])
