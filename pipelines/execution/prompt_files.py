"""Files of prompts: JSONL, JSON, CSV or Parquet, a row each; what cannot be used says why."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

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

COLUMN = "prompt"
SEED_COLUMNS = (COLUMN, "instruction", "seed", "text")
"""Columns that a plain instruction, or a text, may stand in: the first that is there."""
SPLIT_COLUMN = "split"

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


def find(files: str) -> list[str]:
    """The files that a path, glob or URL names.

    Raises:
        InputError: there are none.
    """
    try:
        fs, path = fsspec.core.url_to_fs(files)
        names = [path] if fs.isfile(path) else sorted(fs.glob(path))
        found = [name for name in names if fs.isfile(name)]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"cannot look for {files}: {error}") from None
    if not found:
        raise InputError(f"no such file: {files}")
    return [fs.unstrip_protocol(name).removeprefix("file://") for name in found]


def read(path: str, columns: Sequence[str] = (COLUMN,)) -> Iterator[InputRow]:
    """The rows of a file, bad ones included.

    Args:
        columns: that the prompt may stand in; the first that is there counts.

    Raises:
        InputError: the file cannot be read at all.
    """
    name = path.removesuffix(".gz")
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            if name.endswith(".parquet"):
                yield from _read_parquet(path, file, columns)
            elif name.endswith(".csv"):
                yield from _read_csv(path, file, columns)
            elif name.endswith(".json") and _begins_list(file):
                yield from _read_list(path, file, columns)
            else:
                yield from _read_jsonl(path, file, columns)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from None


def _begins_list(file: IO[bytes]) -> bool:
    begins = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    file.seek(0)
    return begins


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


def _read_jsonl(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    number = 0
    for number, line in enumerate(file, 1):
        source = f"{path}:{number}"
        if not line.strip():
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


def _read_csv(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    decoded = (
        line.decode("utf-8-sig" if not i else "utf-8", "surrogateescape")
        for i, line in enumerate(file)
    )
    with suppress(OverflowError):
        csv.field_size_limit(1 << 30)
    reader = csv.reader(decoded, strict=True)
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
            yield InputRow(source, None, "bad_csv", message, ",".join(map(shown, cells)))
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
    return f"{what} are JSONL, CSV or Parquet with a text column {_named(columns)}"
