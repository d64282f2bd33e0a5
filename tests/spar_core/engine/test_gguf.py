"""Headers of GGUF files: a real one, small ones of every kind of value, and nonsense."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest

from spar_core.engine.bundled import bundled_model
from spar_core.engine.gguf import read_header
from tests.ggufs import entry, header, text


def test_header_of_the_bundled_model() -> None:
    found = read_header(bundled_model())
    assert found.metadata["general.architecture"] == "llama"
    assert found.metadata["general.type"] == "model"
    assert found.metadata["llama.block_count"] == 30
    assert found.metadata["llama.rope.freq_base"] == 100000.0
    assert found.metadata["tokenizer.ggml.add_bos_token"] is False
    assert str(found.metadata["tokenizer.chat_template"]).startswith("{% for message")
    assert "tokenizer.ggml.tokens" not in found.metadata, "lists are left out"
    assert len(found.tensors) == 272
    assert found.tensors["blk.0.ffn_down.weight"] == (1536, 576)
    assert found.tensors["blk.29.attn_k.weight"] == (576, 192)
    assert found.tensors["output_norm.weight"] == (576,)


def test_values_of_every_kind(tmp_path: Path) -> None:
    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"}
    values = [entry(f"n{kind}", kind, struct.pack(f"<{f}", 7)) for kind, f in scalars.items()]
    values += [
        entry("half", 6, struct.pack("<f", 0.5)),
        entry("quarter", 12, struct.pack("<d", 0.25)),
        entry("yes", 7, b"\x01"),
        entry("strings", 9, struct.pack("<IQ", 8, 2) + text("a") + text("")),
        entry("numbers", 9, struct.pack("<IQ", 5, 3) + bytes(12)),
        entry("umlaut", 8, text("ü")),
    ]
    path = header(tmp_path / "m.gguf", values, {"t": (2, 3), "scalar": ()})
    found = read_header(path)
    numbers = {f"n{kind}": 7 for kind in scalars}
    more = {"half": 0.5, "quarter": 0.25, "yes": True, "umlaut": "ü"}
    assert found.metadata == numbers | more
    assert found.tensors == {"t": (2, 3), "scalar": ()}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"not a model, and longer than any header's beginning",
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry("k", 99, b"12345678"),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry("k", 9, struct.pack("<IQ", 9, 1)),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("t") + struct.pack("<I", 1 << 30),
    ],
    ids=["empty", "begun", "text", "old", "big-endian", "cut", "kind", "nested", "dimensions"],
)
def test_nonsense_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        read_header(path)


def test_every_beginning_of_a_header_is_refused(tmp_path: Path) -> None:
    whole = header(tmp_path / "m.gguf", [entry("k", 8, text("v"))], {"t": (2, 3)}).read_bytes()
    for size in range(len(whole)):
        (tmp_path / "cut.gguf").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut off|empty"):
            read_header(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<QQ", 0, 2**64 - 1),
        struct.pack("<QQ", 2**64 - 1, 0),
        struct.pack("<QQQ", 0, 1, 2**63) + b"key",
        struct.pack("<QQ", 0, 1) + entry("k", 8, struct.pack("<Q", 1 << 33)),
        struct.pack("<QQ", 0, 1) + entry("k", 9, struct.pack("<IQ", 8, 2**64 - 1)),
        struct.pack("<QQ", 0, 1) + entry("k", 9, struct.pack("<IQ", 12, 2**64 - 1)),
    ],
    ids=["values", "tensors", "key", "string", "strings", "numbers"],
)
def test_claims_beyond_the_file_cost_no_memory(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<I", 3) + content)
        file.truncate(1 << 34)  # sparse: a string could be as long as it says
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="than any"):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
