"""Files of prompts: JSONL, CSV or Parquet, a row each; what cannot be used says why."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.prompts import Check
from spar_core import checks

COLUMN = "prompt"
SPLIT_COLUMN = "split"

_SPLIT = re.compile(r"\w{0,40}")


class InputError(Exception):
    """The input as a whole is no good."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of the input: its prompt, or the reason why it has none."""

    source: str
    prompt: str | None = None
    error: str = ""
    message: str = ""
    payload: str = ""
    checks: list[Check] | None = None
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


def read(path: str) -> Iterator[InputRow]:
    """The rows of a file, bad ones included.

    Raises:
        InputError: the file cannot be read at all.
    """
    name = path.removesuffix(".gz")
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            if name.endswith(".parquet"):
                yield from _read_parquet(path, file)
            elif name.endswith(".csv"):
                yield from _read_csv(path, file)
            else:
                yield from _read_jsonl(path, file)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from None


def _read_jsonl(path: str, file: IO[bytes]) -> Iterator[InputRow]:
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
        if not isinstance(row, dict):
            message = f"a JSON {type(row).__name__}, not an object"
            yield InputRow(source, None, "bad_json", message, shown)
            continue
        if COLUMN not in row:
            names = ", ".join(list(row)[:8]) or "none"
            message = f"no field `{COLUMN}` (fields: {names})"
            yield InputRow(source, None, "no_prompt", message, shown)
            continue
        yield _checked(source, row)
    if not number:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_csv(path: str, file: IO[bytes]) -> Iterator[InputRow]:
    decoded = (
        line.decode("utf-8-sig" if not i else "utf-8", "surrogateescape")
        for i, line in enumerate(file)
    )
    with suppress(OverflowError):
        csv.field_size_limit(1 << 30)
    reader = csv.reader(decoded, strict=True)
    header: list[str] | None = None
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
            if COLUMN not in header:
                raise InputError(
                    f"{path}:1: no column `{COLUMN}` (columns: {', '.join(header[:8])}); "
                    + remedy()
                )
        elif cells and len(cells) != len(header):
            message = f"{len(cells)} cells where the header has {len(header)}"
            yield InputRow(source, None, "bad_csv", message, ",".join(map(shown, cells)))
        elif cells:
            yield _checked(source, dict(zip(header, cells, strict=True)))
    if header is None:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_parquet(path: str, file: IO[bytes]) -> Iterator[InputRow]:
    parquet = pq.ParquetFile(file)
    if COLUMN not in parquet.schema_arrow.names:
        names = ", ".join(parquet.schema_arrow.names[:8])
        raise InputError(f"{path}: no column `{COLUMN}` (columns: {names}); {remedy()}")
    used = {COLUMN, SPLIT_COLUMN, checks.COLUMN, *checks.IFEVAL_COLUMNS} & {
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
            yield _checked(source, dict(zip(batch.schema.names, cells, strict=True)))
    if not number:
        yield InputRow(path, None, "empty_file", "the file has no rows")


def _checked(source: str, row: Mapping[str, Any]) -> InputRow:
    prompt = row[COLUMN]
    if not isinstance(prompt, str):
        message = f"`{COLUMN}` is {json.dumps(prompt, default=str)[:80]}, not text"
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
        return InputRow(source, prompt, checks=checks.read_checks(row), split=split)
    except checks.BadChecks as error:
        return InputRow(source, None, "bad_checks", str(error), prompt)
    except checks.NoChecker as error:
        raise InputError(f"{source}: {error}") from None


def shown(text: str) -> str:
    """Text that UTF-8 can hold: what it cannot is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def remedy() -> str:
    """What a file of prompts is."""
    return f"prompts are JSONL, CSV or Parquet with a text column `{COLUMN}`"
