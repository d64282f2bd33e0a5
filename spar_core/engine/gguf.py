"""The header of a GGUF file: what it says of itself, and where its tensors lie."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Value = str | int | float | bool

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS |= {12: "d"}
_STRING, _ARRAY = 8, 9
_DIMENSIONS = 4
_LONGEST, _MOST = 1 << 26, 1 << 20
"""More bytes no header has, and no more values, tensors or strings of a list: a vocabulary of
256,000 tokens takes a fifth of the one and half of the other."""


_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class Stored:
    """How a tensor is stored: the number of its type in ggml, and its offset in the data."""

    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights.

    metadata: single values by key; lists are left out. tensors: shapes, the row length first.
    stored: types and offsets by the same names. values: how many the metadata has, and the bytes
    of the file that hold them. data_at: where the weights begin. alignment: of each tensor.
    """

    metadata: dict[str, Value]
    tensors: dict[str, tuple[int, ...]]
    stored: dict[str, Stored]
    values: tuple[int, slice]
    data_at: int
    alignment: int


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file, and nothing behind it.

    Raises:
        ValueError: it is none, or is cut off.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _Reader(content).header()


class _Reader:
    """Goes through a header. Nothing is taken that the file does not hold, whatever it claims."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._end = min(len(content), _LONGEST)
        self._at = 0

    def header(self) -> Header:
        if self._take("4s") != (b"GGUF",) or self._one("I") not in (2, 3):
            raise ValueError("not a GGUF file of version 2 or 3")
        tensors, values = self._count(), self._count()
        metadata: dict[str, Value] = {}
        values_at = self._at
        for _ in range(values):
            key, kind = self._string(), self._one("I")
            if kind == _ARRAY:
                self._pass_over()
            else:
                metadata[key] = self._value(kind)
        values_end = self._at
        shapes: dict[str, tuple[int, ...]] = {}
        stored: dict[str, Stored] = {}
        for _ in range(tensors):
            name, shapes[name], stored[name] = self._tensor()
        alignment = int(metadata.get("general.alignment", _ALIGNMENT)) or _ALIGNMENT
        data_at = -(-self._at // alignment) * alignment
        held = (values, slice(values_at, values_end))
        return Header(metadata, shapes, stored, held, data_at, alignment)

    def _tensor(self) -> tuple[str, tuple[int, ...], Stored]:
        name, dimensions = self._string(), self._one("I")
        if dimensions > _DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = self._take(f"{dimensions}Q")
        return name, shape, Stored(*self._take("IQ"))

    def _value(self, kind: int) -> Value:
        value: Value = self._string() if kind == _STRING else self._one(_scalar(kind))
        return value

    def _pass_over(self) -> None:
        kind = self._one("I")
        if kind == _STRING:
            for _ in range(self._count()):
                self._skip(self._one("Q"))
        else:
            self._skip(self._one("Q") * struct.calcsize(_scalar(kind)))

    def _count(self) -> int:
        count: int = self._one("Q")
        if count > _MOST:
            raise ValueError(f"a GGUF header of {count} parts, more than any has")
        return count

    def _string(self) -> str:
        length = self._one("Q")
        start = self._at
        self._skip(length)
        return self._content[start : self._at].decode(errors="replace")

    def _one(self, form: str) -> Any:
        return self._take(form)[0]

    def _take(self, form: str) -> tuple[Any, ...]:
        start = self._at
        self._skip(struct.calcsize(f"<{form}"))
        return struct.unpack_from(f"<{form}", self._content, start)

    def _skip(self, size: int) -> None:
        if size > self._end - self._at:
            raise ValueError("the GGUF header is cut off, or longer than any")
        self._at += size


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"a value of type {kind}, which GGUF has not")
    return _SCALARS[kind]
