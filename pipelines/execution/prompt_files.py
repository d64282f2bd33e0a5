"""Rows of files of prompts or seeds: JSONL, JSON, CSV, TSV, Parquet or lines of text.

A row that cannot be used says why.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import pyarrow.parquet as pq

from pipelines.execution.input_files import STDIN, kind_of, opened
from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.library import NoChecker
from spar_core.checks.reading import (
    CHECKS_COLUMN,
    COMPLETE_COLUMN,
    IFEVAL_COLUMNS,
    read_checks,
    read_complete,
)
from terminal.exits import InputError
from terminal.text import reason

COLUMN = "prompt"
SEED_COLUMNS = (COLUMN, "instruction", "seed", "text")
"""Columns that a plain instruction, or a text, may stand in: the first that is there."""
SPLIT_COLUMN = "split"

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_BLANK = b"\xef\xbb\xbf \t\r\n"
"""What a line that holds nothing is made of; the first begins with a mark of UTF-8 at most."""

_SPLIT = re.compile(r"\w{0,40}")


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of the input: its prompt, or the reason why it has none."""

    source: str
    prompt: str | None = None
    error: str = ""
    message: str = ""
    payload: str = ""
    checks: list[Check] | None = None
    checks_complete: bool = False
    split: str = ""
    """What the row says that it is for, "" where it says nothing."""


def read(path: str, columns: Sequence[str] = (COLUMN,)) -> Iterator[InputRow]:
    """Read the rows of a file, bad ones included.

    Args:
        path: a file that `find` names. Its suffix says of which kind it is; JSONL if none does.
        columns: that the prompt may stand in; the first that is there counts.

    Raises:
        InputError: the file cannot be read at all.
    """
    kind = kind_of(path)
    try:
        if kind == "json" and _begins_list(path):
            kind = "list"
        with opened(path, seeks=kind == "parquet") as file:
            yield from _rows(path, kind, file, columns)
    except InputError:
        raise
    except Exception as error:  # file systems and compressions raise what their libraries do
        raise InputError(f"cannot read {path}: {reason(error)}") from None


def _rows(path: str, kind: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    if path == STDIN:
        return _read_stdin(path, file, columns)
    if kind == "parquet":
        return _read_parquet(path, file, columns)
    if kind in _DELIMITERS:
        return _read_csv(path, file, columns, _DELIMITERS[kind])
    if kind == "txt":
        return _read_lines(path, file, columns)
    return _read_list(path, file, columns) if kind == "list" else _read_jsonl(path, file, columns)


def _begins_list(path: str) -> bool:
    with opened(path) as file:
        return file.read(64).lstrip(_BLANK).startswith(b"[")


def _read_stdin(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    """JSONL if the first line that is not empty begins an object, else lines of text."""
    lines = iter(file)
    head: list[bytes] = []
    for line in lines:
        head.append(line)
        if line.strip(_BLANK):
            break
    if not head:
        message = "standard input is empty; a run that holds its prompts goes on without --prompts"
        return iter([InputRow(path, None, "empty_file", message)])
    is_json = head[-1].lstrip(_BLANK).startswith(b"{")
    reader = _read_jsonl if is_json else _read_lines
    return reader(path, chain(head, lines), columns)


def _read_lines(path: str, lines: Iterable[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    """A prompt in each line that is not empty."""
    number = 0
    for number, line in enumerate(lines, 1):
        source = f"{path}:{number}"
        if not line.strip(_BLANK):
            continue
        ended = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            text = ended.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            shown_line = ended.decode("utf-8", "backslashreplace")
            yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}", shown_line)
            continue
        if text.strip():
            yield _checked(source, {columns[0]: text}, columns[0])
    if not number:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_list(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    """A JSON list of objects or of texts; a row is known by its place in it."""
    try:
        values = json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path}: not JSON: {error}") from None
    for number, value in enumerate(values, 1):
        row = {columns[0]: value} if isinstance(value, str) else value
        yield _of_object(f"{path}:{number}", row, json.dumps(value), columns)
    if not values:
        yield InputRow(path, None, "empty_file", "the list is empty")


def _of_object(source: str, row: Any, shown: str, columns: Sequence[str]) -> InputRow:
    if not isinstance(row, dict):
        message = f"a JSON {type(row).__name__}, not an object"
        return InputRow(source, None, "bad_json", message, shown)
    column = _column(columns, row)
    if column is None:
        names = ", ".join(list(row)[:8]) or "none"
        message = f"no field {_named(columns)} (fields: {names})"
        return InputRow(source, None, "no_prompt", message, shown)
    return _checked(source, row, column)


def _column(columns: Sequence[str], there: Collection[str]) -> str | None:
    return next((name for name in columns if name in there), None)


def _named(columns: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in columns)


def _read_jsonl(path: str, lines: Iterable[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    number = 0
    for number, line in enumerate(lines, 1):
        source = f"{path}:{number}"
        if not line.strip(_BLANK):
            continue
        shown = line.decode("utf-8", "backslashreplace").rstrip("\n")
        try:
            row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}", shown)
            continue
        except (ValueError, RecursionError) as error:
            yield InputRow(source, None, "bad_json", f"not a JSON object: {error}", shown)
            continue
        yield _of_object(source, row, shown, columns)
    if not number:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_csv(
    path: str, file: IO[bytes], columns: Sequence[str], delimiter: str
) -> Iterator[InputRow]:
    decoded = (
        line.decode("utf-8-sig" if not i else "utf-8", "surrogateescape")
        for i, line in enumerate(file)
    )
    with suppress(OverflowError):
        csv.field_size_limit(1 << 30)
    reader = csv.reader(decoded, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    column: str | None = None
    while True:
        line = reader.line_num + 1
        source = f"{path}:{line}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield InputRow(source, None, "bad_csv", f"not CSV: {error}")
            continue
        if cells is None:
            break
        if header is None:
            header = cells
            column = _column(columns, header)
            if column is None:
                raise InputError(
                    f"{path}:1: no column {_named(columns)} (columns: {', '.join(header[:8])}); "
                    + remedy(columns)
                )
        elif cells and len(cells) != len(header):
            message = f"{len(cells)} cells where the header has {len(header)}"
            yield InputRow(source, None, "bad_csv", message, delimiter.join(map(shown, cells)))
        elif cells and column:
            yield _checked(source, dict(zip(header, cells, strict=True)), column)
    if header is None:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_parquet(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    parquet = pq.ParquetFile(file)
    column = _column(columns, parquet.schema_arrow.names)
    if column is None:
        names = ", ".join(parquet.schema_arrow.names[:8])
        raise InputError(
            f"{path}: no column {_named(columns)} (columns: {names}); {remedy(columns)}"
        )
    used = {column, SPLIT_COLUMN, CHECKS_COLUMN, COMPLETE_COLUMN, *IFEVAL_COLUMNS} & {
        *parquet.schema_arrow.names
    }
    number = 0
    for batch in parquet.iter_batches(batch_size=4096, columns=sorted(used)):
        for values in zip(*batch.columns, strict=True):
            number += 1
            source = f"{path}:{number}"
            try:
                cells = [value.as_py() for value in values]
            except UnicodeDecodeError as error:
                yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}")
                continue
            yield _checked(source, dict(zip(batch.schema.names, cells, strict=True)), column)
    if not number:
        yield InputRow(path, None, "empty_file", "the file has no rows")


def _checked(source: str, row: Mapping[str, Any], column: str) -> InputRow:
    prompt = row[column]
    if not isinstance(prompt, str):
        message = f"`{column}` is {json.dumps(prompt, default=str)[:80]}, not text"
        return InputRow(source, None, "no_prompt", message, str(prompt))
    if not prompt.strip():
        return InputRow(source, None, "empty_prompt", "the prompt is empty", prompt)
    try:
        prompt.encode()
    except UnicodeEncodeError:
        message = "not UTF-8: half of a surrogate pair, or a byte that is no character"
        return InputRow(source, None, "not_utf8", message, shown(prompt))
    split = row.get(SPLIT_COLUMN) or ""
    if not isinstance(split, str) or not _SPLIT.fullmatch(split):
        message = f"`{SPLIT_COLUMN}` is {json.dumps(split, default=str)[:80]}, not a plain word"
        return InputRow(source, None, "bad_split", message, prompt)
    try:
        found = read_checks(row)
        complete = bool(found) and read_complete(row)
        return InputRow(source, prompt, checks=found, checks_complete=complete, split=split)
    except BadChecks as error:
        return InputRow(source, None, "bad_checks", str(error), prompt)
    except NoChecker as error:
        raise InputError(f"{source}: {error}") from None


def shown(text: str) -> str:
    """Text that UTF-8 can hold: what it cannot is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def remedy(columns: Sequence[str] = (COLUMN,)) -> str:
    """What a file of prompts, or of seeds, is."""
    what = "prompts" if columns == (COLUMN,) else "seeds"
    return (
        f"{what} are JSONL, JSON, CSV, TSV or Parquet with a text column {_named(columns)}, or "
        ".txt with one a line"
    )
