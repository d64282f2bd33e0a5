"""PEFT's adapters as GGUF: names, shapes and scale; llama.cpp follows the adapted model."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GgufConfig

from spar_core.engine.bundled import bundled_model
from spar_core.engine.gguf import read_header
from spar_core.engine.llamacpp import LlamaCppServer
from training import gguf_adapter
from training.gguf_adapter import convert, permuted

HIDDEN, INNER, HEADS, KEY_HEADS = 32, 64, 2, 1
"""The tiny model's."""


def lora(model: Path, folder: Path, **config: Any) -> Path:
    """An adapter that changes the model, as PEFT writes it."""
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model)
    adapted = get_peft_model(base, LoraConfig(**{"target_modules": "all-linear", **config}))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    adapted.save_pretrained(folder)
    return folder


def tensors(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    reader = GGUFReader(file)
    return {each.name: dequantize(each.data, each.tensor_type) for each in reader.tensors}


def weights(adapter: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found = load_file(adapter / gguf_adapter.WEIGHTS)
    return {name.removeprefix("base_model.model.model."): w for name, w in found.items()}


def test_weights_come_under_the_names_and_shapes_of_llama_cpp(model: Path, tmp_path: Path) -> None:
    adapter, file = lora(model, tmp_path / "lora", r=4, lora_alpha=6), tmp_path / "a.gguf"
    assert convert(adapter, model, file) == 2 * 7 * 2
    found = read_header(file)
    assert found.metadata == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 6.0,
    }
    keys = HIDDEN // HEADS * KEY_HEADS
    shapes = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (HIDDEN, keys),
        "attn_v": (HIDDEN, keys),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (HIDDEN, INNER),
        "ffn_up": (HIDDEN, INNER),
        "ffn_down": (INNER, HIDDEN),
    }
    wanted = {
        f"blk.{layer}.{module}.weight.lora_{side}": shape
        for layer in range(2)
        for module, (inputs, outputs) in shapes.items()
        for side, shape in (("a", (inputs, 4)), ("b", (4, outputs)))
    }
    assert found.tensors == wanted


def test_rows_of_queries_and_keys_alone_change_places(model: Path, tmp_path: Path) -> None:
    adapter, file = lora(model, tmp_path / "lora", r=4), tmp_path / "a.gguf"
    convert(adapter, model, file)
    written, held = tensors(file), weights(adapter)
    for theirs, ours, heads in (
        ("self_attn.q_proj", "attn_q", HEADS),
        ("self_attn.k_proj", "attn_k", KEY_HEADS),
        ("self_attn.v_proj", "attn_v", None),
        ("mlp.down_proj", "ffn_down", None),
    ):
        a, b = (held[f"layers.1.{theirs}.lora_{side}.weight"].half().numpy() for side in "AB")
        assert (written[f"blk.1.{ours}.weight.lora_a"] == a).all()
        there = written[f"blk.1.{ours}.weight.lora_b"]
        assert (there == permuted(b, heads)).all()
        assert (there == b).all() == (heads is None)


def test_halves_of_each_head_are_interleaved() -> None:
    rows = np.arange(12)[:, None]
    assert permuted(rows, 2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert permuted(rows, None) is rows


def test_stabilised_scale_is_kept(model: Path, tmp_path: Path) -> None:
    adapter = lora(model, tmp_path / "lora", r=4, lora_alpha=6, use_rslora=True)
    convert(adapter, model, tmp_path / "a.gguf")
    alpha = read_header(tmp_path / "a.gguf").metadata["adapter.lora.alpha"]
    assert float(alpha) / 4 == pytest.approx(6 / math.sqrt(4))


def test_rows_that_fit_are_quantised(model: Path, tmp_path: Path) -> None:
    adapter = lora(model, tmp_path / "lora", r=4, target_modules=["v_proj", "o_proj"])
    sizes = {}
    for kind in ("f16", "q8_0"):
        file = tmp_path / f"{kind}.gguf"
        line = ["--adapter", str(adapter), "--model", str(model), "--output", str(file)]
        assert gguf_adapter.main([*line, "--type", kind]) == 0
        sizes[kind] = file.stat().st_size
    assert sizes["q8_0"] < sizes["f16"]
    types = {
        each.name: each.tensor_type.name for each in GGUFReader(tmp_path / "q8_0.gguf").tensors
    }
    assert {types[f"blk.{n}.attn_v.weight.lora_a"] for n in range(2)} == {"Q8_0"}
    assert {types[f"blk.{n}.attn_v.weight.lora_b"] for n in range(2)} == {"F16"}, "rows of 4"
    exact, rounded = tensors(tmp_path / "f16.gguf"), tensors(tmp_path / "q8_0.gguf")
    for name, weight in exact.items():
        assert np.abs(rounded[name] - weight).max() <= np.abs(weight).max() / 100


def change(file: Path, **values: Any) -> None:
    """Change values of a configuration."""
    file.write_text(json.dumps(json.loads(file.read_bytes()) | values))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "use_dora: llama.cpp knows plain LoRA only"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern: llama.cpp knows plain LoRA only"),
        ({"peft_type": "IA3"}, "is no LoRA adapter but IA3"),
    ],
)
def test_other_adapters_are_refused(
    config: Mapping[str, Any], said: str, model: Path, tmp_path: Path, capsys: Any
) -> None:
    adapter = lora(model, tmp_path / "lora", r=4, target_modules=["q_proj"])
    change(adapter / gguf_adapter.CONFIG, **config)
    assert said in refused(adapter, model, tmp_path, capsys)


def test_other_modules_are_refused(model: Path, tmp_path: Path, capsys: Any) -> None:
    adapter = lora(model, tmp_path / "lora", r=4, target_modules=["q_proj", "embed_tokens"])
    said = refused(adapter, model, tmp_path, capsys)
    assert "embed_tokens" in said and "only LoRA on self_attn.q_proj" in said


def test_adapter_of_another_model_is_refused(model: Path, tmp_path: Path, capsys: Any) -> None:
    adapter = lora(model, tmp_path / "lora", r=4, target_modules=["up_proj"])
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes((model / "config.json").read_bytes())
    for config in ({"intermediate_size": 48}, {"num_hidden_layers": 1, "intermediate_size": 64}):
        change(other / "config.json", **config)
        assert "give the --model that it was trained on" in refused(
            adapter, other, tmp_path, capsys
        )
    change(other / "config.json", model_type="qwen2")
    assert "a model of type 'qwen2'" in refused(adapter, other, tmp_path, capsys)


def test_folder_that_holds_no_adapter_or_model_is_told(
    model: Path, tmp_path: Path, capsys: Any
) -> None:
    assert "no adapter_config.json in" in refused(model, model, tmp_path, capsys)
    adapter = lora(model, tmp_path / "lora", r=4, target_modules=["q_proj"])
    assert "--model takes a checkpoint folder" in refused(adapter, tmp_path, tmp_path, capsys)
    (adapter / gguf_adapter.WEIGHTS).unlink()
    assert "save the adapter as safetensors" in refused(adapter, model, tmp_path, capsys)
    (adapter / gguf_adapter.WEIGHTS).write_bytes(b"nothing")
    assert "holds no tensors" in refused(adapter, model, tmp_path, capsys)
    (adapter / gguf_adapter.CONFIG).write_text("{")
    assert "is no JSON" in refused(adapter, model, tmp_path, capsys)


def refused(adapter: Path, model: Path, folder: Path, capsys: Any) -> str:
    """What is said of an adapter: one line, and nothing is written."""
    file = folder / "out" / "a.gguf"
    line = ["--adapter", str(adapter), "--model", str(model), "--output", str(file)]
    capsys.readouterr()
    assert gguf_adapter.main(line) == 2
    said: str = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not file.parent.exists()
    return said


def test_failed_write_leaves_the_file_that_was_there(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    adapter, file = lora(model, tmp_path / "lora", r=4), tmp_path / "out" / "a.gguf"
    convert(adapter, model, file)
    before = file.read_bytes()

    def fail(_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("gguf.GGUFWriter.write_tensors_to_file", fail)
    line = ["--adapter", str(adapter), "--model", str(model), "--output", str(file)]
    assert gguf_adapter.main(line) == 4
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["a.gguf"]
    assert file.read_bytes() == before


PROMPTS = (
    "The capital of France is Paris, and the river that runs through it is called the",
    "Water boils at one hundred degrees Celsius. When it is cooled below zero degrees, it",
    "def add(a, b):\n    return a + b\n\n\ndef multiply(a, b):\n    return",
)
LIKELIEST = 50


@pytest.mark.slow
@pytest.mark.engine
def test_llama_cpp_follows_the_adapted_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(2)
    file = bundled_model()
    base = AutoModelForCausalLM.from_pretrained(
        str(file.parent),
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    base.config.save_pretrained(tmp_path)
    prompts = tokens(PROMPTS)
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, use_rslora=True, target_modules="all-linear")
    adapted: PeftModel = get_peft_model(base, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.08 if ".q_" in name or ".k_" in name else 0.02)
    adapted.save_pretrained(tmp_path / "lora")
    for kind in ("f16", "q8_0"):
        convert(tmp_path / "lora", tmp_path, tmp_path / f"{kind}.gguf", kind)
    monkeypatch.setattr(gguf_adapter, "permuted", lambda weight, _: weight)
    convert(tmp_path / "lora", tmp_path, tmp_path / "wrong.gguf")

    wanted = [logprobs(adapted, prompt) for prompt in prompts]
    with adapted.disable_adapter():
        unadapted = [logprobs(adapted, prompt) for prompt in prompts]
    away = {
        name: distance(served(tmp_path / f"{name}.gguf" if name else None, prompts), wanted)
        for name in ("", "f16", "q8_0", "wrong")
    }
    noise = distance(served(None, prompts), unadapted)
    assert max(away["f16"], away["q8_0"]) < 2 * noise
    assert away[""] > 5 * noise
    assert away["wrong"] > 2 * noise


def logprobs(model: Any, prompt: list[int]) -> dict[int, float]:
    """Of the likeliest next tokens."""
    with torch.no_grad():
        last = model(torch.tensor([prompt])).logits[0, -1]
    values, ids = torch.log_softmax(last, -1).topk(LIKELIEST)
    return dict(zip(ids.tolist(), values.tolist(), strict=True))


def tokens(texts: Sequence[str]) -> list[list[int]]:
    server = LlamaCppServer(bundled_model(), slots=1, context=512)
    found = [asked(server, "tokenize", content=text)["tokens"] for text in texts]
    server.close()
    return found


def served(adapter: Path | None, prompts: list[list[int]]) -> list[dict[int, float]]:
    """The same from llama.cpp, of many more tokens."""
    server = LlamaCppServer(bundled_model(), adapter, slots=1, context=512)
    found = []
    for prompt in prompts:
        said = asked(server, "completion", prompt=prompt, n_predict=1, temperature=0, n_probs=5000)
        (drawn,) = said["completion_probabilities"]
        found.append({each["id"]: each["logprob"] for each in drawn["top_logprobs"]})
    server.close()
    return found


def asked(server: LlamaCppServer, path: str, **body: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def distance(found: list[dict[int, float]], wanted: list[dict[int, float]]) -> float:
    """How far off the likeliest tokens are in the mean."""
    pairs = [
        (there[i], p) for there, here in zip(found, wanted, strict=True) for i, p in here.items()
    ]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)
