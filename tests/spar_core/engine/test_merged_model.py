"""Merging an adapter into a model: the weights, the file, and what happens where it cannot be."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Kind

from spar_core.engine.merged_model import _LAYOUT, Q4_0, Q8_0, dequantized, merged, quantized

ROWS, COLUMNS, RANK, ALPHA = 8, 64, 4, 8.0
CHANGED, KEPT, NORM = "blk.0.ffn_up.weight", "token_embd.weight", "blk.0.attn_norm.weight"

Weights = npt.NDArray[np.float32]


def drawn(*shape: int, seed: int) -> Weights:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write_model(path: Path, kind: Kind = Kind.Q4_1, *, seed: int = 1) -> dict[str, Weights]:
    """Write a model of three tensors; returns them as its file holds them."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "ü", "c"])
    tensors = {CHANGED: (kind, drawn(ROWS, COLUMNS, seed=seed))}
    tensors |= {KEPT: (Kind.Q8_0, drawn(3, COLUMNS, seed=2)), NORM: (Kind.F32, drawn(5, seed=3))}
    held: dict[str, Weights] = {}
    for name, (stored_as, weights) in tensors.items():
        stored = gguf.quants.quantize(weights, stored_as)
        held[name] = gguf.quants.dequantize(stored, stored_as)
        writer.add_tensor(name, stored, raw_dtype=stored_as)
    _close(writer)
    return held


def write_adapter(path: Path, alpha: float = ALPHA) -> Weights:
    """Write an adapter for one of them; returns what it adds."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_float32("adapter.lora.alpha", alpha)
    a = drawn(RANK, COLUMNS, seed=4).astype(np.float16)
    b = drawn(ROWS, RANK, seed=5).astype(np.float16)
    writer.add_tensor(f"{CHANGED}.lora_a", a)
    writer.add_tensor(f"{CHANGED}.lora_b", b)
    _close(writer)
    added: Weights = (b.astype(np.float32) * (alpha / RANK)) @ a.astype(np.float32)
    return added


def _close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path: Path) -> dict[str, tuple[Kind, Weights]]:
    return {
        tensor.name: (
            tensor.tensor_type,
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1]),
        )
        for tensor in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q8_0, Kind.F16, Kind.F32])
def test_an_adapter_is_added_and_all_else_is_kept(tmp_path: Path, kind: Kind) -> None:
    model, adapter = tmp_path / "m.gguf", tmp_path / "a.gguf"
    held, added = write_model(model, kind), write_adapter(adapter)
    made = merged(model, adapter, tmp_path / "cache")
    found = read(made)
    assert [*found] == [*held]
    stored_as, weights = found[CHANGED]
    wanted = held[CHANGED] + added
    assert stored_as == Kind.Q8_0
    np.testing.assert_allclose(weights, wanted, atol=np.abs(wanted).max() / 250)
    for name in (KEPT, NORM):
        np.testing.assert_array_equal(found[name][1], held[name])
    [tokens] = [
        field.contents()
        for field in gguf.GGUFReader(made).fields.values()
        if field.name == "tokenizer.ggml.tokens"
    ]
    assert tokens == ["a", "ü", "c"]


def test_without_an_adapter_matrices_of_four_bits_change_their_type_alone(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    held = write_model(model)
    found = read(merged(model, None, tmp_path / "cache"))
    assert {name: kind for name, (kind, _) in found.items()} == {
        CHANGED: Kind.Q8_0,
        KEPT: Kind.Q8_0,
        NORM: Kind.F32,
    }
    for name, (_, weights) in found.items():
        np.testing.assert_allclose(weights, held[name], atol=np.abs(held[name]).max() / 250)


def test_q8_0_is_rounded_as_the_reference_does() -> None:
    weights = drawn(40, 32, seed=6)
    weights[0] = 0
    weights[1] = 0.25
    stored = quantized(weights)
    reference = gguf.quants.quantize(weights, Kind.Q8_0)
    assert stored.tobytes() == reference.tobytes()


@pytest.mark.parametrize(("kind", "number"), [(Kind.Q4_0, Q4_0), (Kind.Q8_0, Q8_0)])
def test_blocks_are_read_as_the_reference_does(kind: Kind, number: int) -> None:
    reference = gguf.quants.quantize(drawn(40, 32, seed=6), kind)
    stored = np.frombuffer(reference.tobytes(), _LAYOUT[number])
    held = gguf.quants.dequantize(reference, kind)
    np.testing.assert_array_equal(dequantized(stored, number), held.ravel())


def test_a_merged_file_is_written_once_and_told_apart_by_content(tmp_path: Path) -> None:
    model, adapter, cache = tmp_path / "m.gguf", tmp_path / "a.gguf", tmp_path / "cache"
    write_model(model)
    write_adapter(adapter)
    made = merged(model, adapter, cache)
    written = made.stat().st_mtime_ns
    assert merged(model, adapter, cache) == made
    assert made.stat().st_mtime_ns == written
    write_adapter(adapter, alpha=2 * ALPHA)
    again = merged(model, adapter, cache)
    assert again != made
    assert not np.array_equal(read(again)[CHANGED][1], read(made)[CHANGED][1])


def test_what_a_killed_process_left_is_written_anew(tmp_path: Path) -> None:
    model, adapter, cache = tmp_path / "m.gguf", tmp_path / "a.gguf", tmp_path / "cache"
    write_model(model)
    write_adapter(adapter)
    made = merged(model, adapter, cache)
    whole = made.read_bytes()
    made.rename(made.with_name(f"{made.name}.part"))
    made.with_name(f"{made.name}.part").write_bytes(whole[:100])
    assert merged(model, adapter, cache).read_bytes() == whole


def test_weights_of_another_type_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    model, adapter, cache = tmp_path / "m.gguf", tmp_path / "a.gguf", tmp_path / "cache"
    write_model(model, Kind.Q5_0)
    write_adapter(adapter)
    with pytest.raises(ValueError, match="type 6 cannot be merged"):
        merged(model, adapter, cache)
    assert not [*cache.glob("*.gguf"), *cache.glob("*.part")]


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    model, adapter = tmp_path / "m.gguf", tmp_path / "a.gguf"
    write_model(model)
    write_adapter(adapter)
    model.write_bytes(model.read_bytes()[:-64])
    with pytest.raises(ValueError, match="is cut off"):
        merged(model, adapter, tmp_path / "cache")
