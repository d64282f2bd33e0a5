"""A GGUF model that runs faster on a CPU, written once a machine: Q8_0, an adapter merged in.

llama.cpp applies an adapter beside the weights: two more products a matrix, for each token. And it
multiplies matrices of type Q4_1 one row at a time, those of type Q8_0 in blocks. Merged and written
as Q8_0, which loses next to nothing, the bundled refiner takes about half of the CPU time.

Only types that occur in the bundled files are read: Q4_1, Q4_0, Q8_0, F16 and F32.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from schemas.checkpoint import content
from spar_core.engine.fetching import cache_folder, locked
from spar_core.engine.gguf import Header, read_header

F32, F16, Q4_0, Q4_1, Q8_0 = 0, 1, 2, 3, 8
"""The numbers of these types in ggml."""

_BLOCK = 32
"""Weights of a row that share a scale."""

_LAYOUT: dict[int, np.dtype[Any]] = {
    F32: np.dtype("<f4"),
    F16: np.dtype("<f2"),
    Q4_0: np.dtype([("scale", "<f2"), ("packed", "u1", _BLOCK // 2)]),
    Q4_1: np.dtype([("scale", "<f2"), ("least", "<f2"), ("packed", "u1", _BLOCK // 2)]),
    Q8_0: np.dtype([("scale", "<f2"), ("weights", "i1", _BLOCK)]),
}
"""How a block of a type is stored; of the first two, a weight."""

_REVISION = "1"
"""Changes when the same two files are merged into another one."""

Weights = NDArray[np.float32]


def merged(model: Path, adapter: Path | None, cache: Path | None = None) -> Path:
    """Return the file of the model with its adapter merged in, written if it is not there yet.

    Matrices that the adapter changes, and those of four bits, are of type Q8_0 in it. Others that
    want it at the same time wait; one that is killed leaves nothing that counts.

    Args:
        adapter: None to change the types alone.
        cache: where models are kept.

    Raises:
        OSError: it cannot be written.
        ValueError: a file is no GGUF file, or has weights of a type that is not read here.
    """
    cache = cache or cache_folder()
    files = [model, adapter] if adapter else [model]
    parts = [*(file.stem for file in files), *(content(file) for file in files), _REVISION]
    place = cache / f"{'-'.join(parts)}.gguf"
    if place.is_file():
        return place
    with locked(cache / f"{place.name}.lock"):
        if not place.is_file():
            part = place.with_name(f"{place.name}.part")
            try:
                with part.open("wb") as file:
                    _write(file, model, adapter)
                os.replace(part, place)
            except BaseException:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)
                raise
    return place


def dequantized(stored: NDArray[Any], kind: int) -> Weights:
    """Return the weights of some blocks, as one row.

    Raises:
        ValueError: the type is not read here.
    """
    if kind in (F32, F16):
        return stored.astype(np.float32)
    if kind not in _LAYOUT:
        raise ValueError(f"weights of type {kind} cannot be merged")
    scale = stored["scale"].astype(np.float32)[:, None]
    if kind == Q8_0:
        signed: Weights = (scale * stored["weights"]).ravel()
        return signed
    low, high = stored["packed"] & 15, stored["packed"] >> 4
    weights = np.concatenate([low, high], axis=1).astype(np.float32)
    if kind == Q4_0:
        return (scale * (weights - 8)).ravel()
    return (scale * weights + stored["least"].astype(np.float32)[:, None]).ravel()


def quantized(weights: Weights) -> NDArray[Any]:
    """Return weights as blocks of type Q8_0, rounded as llama.cpp does."""
    blocks = weights.reshape(-1, _BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    steps = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    numbers = blocks * steps
    made = np.empty(len(blocks), _LAYOUT[Q8_0])
    made["scale"] = scale[:, 0]
    made["weights"] = np.trunc(numbers + np.copysign(np.float32(0.5), numbers))
    return made


class _File:
    """A GGUF file whose weights are read from its memory map."""

    def __init__(self, path: Path) -> None:
        self.header: Header = read_header(path)
        self.content = np.memmap(path, mode="r")

    def stored(self, name: str) -> NDArray[Any]:
        """The blocks of a tensor."""
        kind, shape = self.header.stored[name].kind, self.header.tensors[name]
        start = self.header.data_at + self.header.stored[name].offset
        size = _size(shape, kind)
        if start + size > len(self.content):
            raise ValueError(f"{name} is cut off")
        stored: NDArray[Any] = self.content[start : start + size].view(_LAYOUT[kind])
        return stored

    def weights(self, name: str) -> Weights:
        """A tensor, its rows as ggml has them: the last of its dimensions comes first."""
        shape = self.header.tensors[name]
        flat = dequantized(self.stored(name), self.header.stored[name].kind)
        return flat.reshape(shape[::-1])


def _write(file: BinaryIO, model: Path, adapter: Path | None) -> None:
    base, added = _File(model), _File(adapter) if adapter else None
    header = base.header
    lora = {name.removesuffix(".lora_a") for name in added.header.tensors} if added else set()
    coarse = {name for name in header.tensors if header.stored[name].kind in (Q4_0, Q4_1)}
    changed = (lora & {*header.tensors}) | coarse
    kinds = {name: Q8_0 if name in changed else header.stored[name].kind for name in header.tensors}
    sizes = {name: _size(header.tensors[name], kind) for name, kind in kinds.items()}
    number, values = header.values
    file.write(b"GGUF" + struct.pack("<IQQ", 3, len(kinds), number))
    file.write(base.content[values].tobytes())
    offset = 0
    for name, kind in kinds.items():
        shape, said = header.tensors[name], name.encode()
        file.write(struct.pack("<Q", len(said)) + said)
        file.write(struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        offset += _aligned(sizes[name], header.alignment)
    for name in kinds:
        file.write(bytes(_aligned(file.tell(), header.alignment) - file.tell()))
        if name in changed:
            weights = base.weights(name)
            if added and name in lora:
                weights += _difference(added, name)
            file.write(quantized(weights).tobytes())
        else:
            file.write(base.stored(name).tobytes())


def _difference(added: _File, name: str) -> Weights:
    """What an adapter adds to a tensor: B A, scaled by alpha over the rank."""
    a, b = added.weights(f"{name}.lora_a"), added.weights(f"{name}.lora_b")
    alpha = float(added.header.metadata.get("adapter.lora.alpha", 0.0)) or float(len(a))
    return b @ (a * np.float32(alpha / len(a)))


def _size(shape: tuple[int, ...], kind: int) -> int:
    """The bytes that a tensor takes."""
    if kind not in _LAYOUT:
        raise ValueError(f"weights of type {kind} cannot be merged")
    weights = int(np.prod(shape, dtype=np.int64))
    return weights // (1 if kind in (F32, F16) else _BLOCK) * _LAYOUT[kind].itemsize


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
