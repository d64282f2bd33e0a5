"""Files of benchmarks: the prompts in them, whichever of the usual fields they stand in."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import fsspec
import pyarrow as pa

from spar_core.parquet_rows import ParquetRows

FIELDS = ("prompt", "instruction", "input", "question", "text")
CHATS = ("messages", "turns", "conversation", "conversations")
"""Fields that hold a prompt, and those that hold several: texts, or messages with a `content`."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_ANSWERING = {"assistant", "gpt", "system", "tool"}

_OF_FORMATS = (csv.Error, zlib.error, pa.ArrowException)
_UNREADABLE = (OSError, EOFError, ValueError, RecursionError, *_OF_FORMATS)


class BadBenchmark(ValueError):
    """A file whose prompts cannot be kept out: what it is, and what helps."""


def read(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the prompts of files, each with its place, `file:row`.

    The row is a line in JSONL, CSV and text, else the place in the list or the table, from 1.

    Args:
        files: paths, globs or URLs of JSONL, JSON, CSV, Parquet, or text with a prompt a line.

    Raises:
        BadBenchmark: a file is not there, cannot be read or has no prompts.
    """
    for pattern in files:
        for path in _find(pattern):
            yield from _read(path)


def _read(path: str) -> list[tuple[str, str]]:
    try:
        found = [
            (f"{path}:{number}", text)
            for number, row in _rows(path)
            for text in _texts(row)
            if text.strip()
        ]
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise BadBenchmark(f"{path}: cannot read it: {reason}; {_remedy()}") from None
    if not found:
        raise BadBenchmark(f"{path}: no prompts in it; {_remedy()}")
    return found


def _find(pattern: str) -> list[str]:
    try:
        fs, path = fsspec.core.url_to_fs(pattern)
        names = [path] if fs.isfile(path) else sorted(fs.glob(path))
        found = [name for name in names if fs.isfile(name)]
    except (OSError, ValueError, ImportError) as error:
        raise BadBenchmark(f"{pattern}: cannot look for it: {error}; {_remedy()}") from None
    if not found:
        raise BadBenchmark(f"{pattern}: no such file; {_remedy()}")
    return [fs.unstrip_protocol(name).removeprefix("file://") for name in found]


def _rows(path: str) -> Iterator[tuple[int, Any]]:
    """The rows of a file with their numbers."""
    name = path
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    if name.endswith(".parquet"):
        with fsspec.open(path, "rb") as file:
            yield from enumerate(_parquet(path, file), 1)
        return
    with fsspec.open(path, "rt", compression="infer", encoding="utf-8-sig", newline="") as file:
        if name.endswith(".csv"):
            yield from _csv(file)
        elif name.endswith(".txt"):
            yield from enumerate(file, 1)
        elif name.endswith(".json"):
            yield from _json(file)
        else:
            yield from _jsonl(file)


def _parquet(path: str, file: IO[bytes]) -> Iterator[Any]:
    rows = ParquetRows(file, path)
    yield from rows.values([name for name in (*FIELDS, *CHATS) if name in rows.schema.names])


def _csv(file: IO[str]) -> Iterator[tuple[int, Any]]:
    """Rows by the line that each begins in."""
    reader = csv.DictReader(file)
    line = 1 + (reader.line_num if reader.fieldnames else 0)
    for row in reader:
        yield line, row
        line = reader.line_num + 1


def _json(file: IO[str]) -> Iterator[tuple[int, Any]]:
    """The items of a list, or of what is called JSON and is JSONL."""
    start = file.read(1024).lstrip()[:1]
    file.seek(0)
    yield from enumerate(json.load(file), 1) if start == "[" else _jsonl(file)


def _jsonl(file: IO[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _texts(row: Any) -> Iterator[str]:
    if isinstance(row, str):
        yield row
    elif isinstance(row, Mapping):
        for name in (*FIELDS, *CHATS):
            value = row.get(name)
            if isinstance(value, str):
                yield value
            elif isinstance(value, list):
                yield from filter(None, map(_said, value))


def _said(message: Any) -> str | None:
    """The text of a message, unless it answers or sets up a chat."""
    if isinstance(message, str):
        return message
    if not isinstance(message, Mapping) or {message.get("role"), message.get("from")} & _ANSWERING:
        return None
    content = message.get("content") or message.get("value")
    return content if isinstance(content, str) else None


def _remedy() -> str:
    fields = ", ".join((*FIELDS, *CHATS))
    return f"a benchmark is JSONL, JSON, CSV or Parquet with one of {fields}, or text, a line each"
