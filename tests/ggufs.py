"""Small GGUF files: headers without any weights behind them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path


def text(said: str) -> bytes:
    """A string as GGUF holds it."""
    content = said.encode()
    return struct.pack("<Q", len(content)) + content


def entry(key: str, kind: int, value: bytes) -> bytes:
    """A value of the metadata."""
    return text(key) + struct.pack("<I", kind) + value


def header(path: Path, values: Sequence[bytes], tensors: Mapping[str, tuple[int, ...]]) -> Path:
    """Write a file of these values, and of tensors of these shapes."""
    content = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values)) + b"".join(values)
    for name, shape in tensors.items():
        size = len(shape)
        content += text(name) + struct.pack(f"<I{size}QIQ", size, *shape, 0, 0)
    path.write_bytes(content)
    return path


def model(path: Path, architecture: str = "llama", **tensors: tuple[int, ...]) -> Path:
    """Write the header of a model."""
    says = {"general.architecture": architecture, "general.type": "model"}
    return header(path, [entry(key, 8, text(value)) for key, value in says.items()], tensors)


def adapter(path: Path, architecture: str = "llama", **tensors: tuple[int, ...]) -> Path:
    """Write the header of a LoRA adapter."""
    says = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
    }
    return header(path, [entry(key, 8, text(value)) for key, value in says.items()], tensors)
