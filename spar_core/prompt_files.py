"""Rows of files of prompts or seeds: JSONL, JSON, CSV, TSV, Parquet or lines of text.

A row that cannot be used says why.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, Any

import pyarrow as pa

from schemas.pairs import Message
from schemas.prompts import Check
from spar_core.chat import TextOrChat, with_earlier
from spar_core.checks.arguments import BadChecks
from spar_core.checks.ground_truth import GROUND_TRUTH, read_ground_truth
from spar_core.checks.library import NoChecker
from spar_core.checks.reading import read_checks, read_complete
from spar_core.input_files import STDIN, kind_of, opened
from spar_core.parquet_rows import LargeRow, ParquetRows
from spar_core.prompt_chats import BadChat, read_chat
from spar_core.prompt_columns import (
    CHATS,
    COLUMNS,
    OWN,
    SEED_COLUMNS,
    SPLIT_COLUMN,
    beside_of,
    extra_of,
    first_of,
    named,
    others_of,
)
from spar_core.surrogates import shown
from terminal.exits import InputError
from terminal.text import reason, without_logins

_LOOKED_AT = 100
"""Rows of JSON that are looked at for the column of a file."""

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_BLANK = b"\xef\xbb\xbf \t\r\n"
"""What a line that holds nothing is made of; the first begins with a mark of UTF-8 at most."""

_SPLIT = re.compile(r"\w{0,40}")


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of the input: its prompt, or the reason why it has none.

    prompt: its last turn.
    """

    source: str
    prompt: str | None = None
    error: str = ""
    message: str = ""
    payload: str = ""
    checks: list[Check] | None = None
    checks_complete: bool = False
    split: str = ""
    """What the row says that it is for, "" where it says nothing."""
    extra: str | None = field(default=None, repr=False)
    """A JSON object of the columns that have no meaning here."""
    column: str = field(default="", repr=False)
    """The column that the prompt is read from."""
    others: tuple[str, ...] = field(default=(), repr=False)
    """Usual columns of prompts that the row has beside it."""
    earlier: list[Message] | None = field(default=None, repr=False)
    """The turns before the prompt."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """What is to be told once of how such rows are read."""

    @property
    def chat(self) -> TextOrChat:
        """The prompt with the turns before it; it must have one."""
        turns = [{"role": turn.role, "content": turn.content} for turn in self.earlier or ()]
        return with_earlier(self.prompt or "", turns)


def read(path: str, columns: Sequence[str] = COLUMNS) -> Iterator[InputRow]:
    """Read the rows of a file, bad ones included.

    Args:
        path: a file that `find` names. Its suffix says of which kind it is; JSONL if none does.
        columns: that the prompt may stand in; the first that the file has is read in all rows. Of
            JSON the first 100 rows say what it has.

    Raises:
        InputError: the file cannot be read at all.
    """
    kind = kind_of(path)
    try:
        if kind == "json" and _begins_list(path):
            kind = "list"
        with opened(path, seeks=kind == "parquet") as file:
            yield from _rows(without_logins(path), kind, file, columns)
    except InputError:
        raise
    except Exception as error:  # file systems and compressions raise what their libraries do
        raise InputError(without_logins(f"cannot read {path}: {reason(error)}")) from None


def _rows(path: str, kind: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    if path == STDIN:
        return _read_stdin(path, file, columns)
    if kind == "parquet":
        return _read_parquet(path, file, columns)
    if kind in _DELIMITERS:
        return _read_csv(path, file, columns, _DELIMITERS[kind])
    if kind == "txt":
        return _read_text(path, file, columns)
    return _read_list(path, file, columns) if kind == "list" else _read_jsonl(path, file, columns)


def _begins_list(path: str) -> bool:
    with opened(path) as file:
        return file.read(64).lstrip(_BLANK).startswith(b"[")


def _read_stdin(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    """JSONL if the first line that is not empty begins an object, else lines of text."""
    head, lines = _begin(file)
    if not head:
        message = "standard input is empty; a run that holds its prompts goes on without --prompts"
        return iter([InputRow(path, None, "empty_file", message)])
    is_json = head[-1].lstrip(_BLANK).startswith(b"{")
    return (_read_jsonl if is_json else _read_lines)(path, lines, columns)


def _read_text(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    """Lines of text; JSONL if the first line that is not empty is an object with a prompt."""
    head, lines = _begin(file)
    first: Any = None
    with suppress(ValueError, RecursionError):
        first = json.loads(head[-1].decode("utf-8-sig")) if head else None
    is_json = isinstance(first, dict) and first_of(columns, first) is not None
    return (_read_jsonl if is_json else _read_lines)(path, lines, columns)


def _begin(file: IO[bytes]) -> tuple[list[bytes], Iterator[bytes]]:
    """Return a file's first lines, up to the first that is not empty, and all of its lines."""
    lines = iter(file)
    head: list[bytes] = []
    for line in lines:
        head.append(line)
        if line.strip(_BLANK):
            break
    return head, chain(head, lines)


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
            yield _checked(source, {columns[0]: text}, columns[0], columns)
    if not number:
        yield InputRow(path, None, "empty_file", "the file is empty")


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of JSON that stands for a row, and its text."""

    source: str
    value: Any
    text: str


def _read_list(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    """A JSON list of objects or of texts; a row is known by its place in it."""
    try:
        values = json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path}: not JSON: {error}") from None
    rows = (_Value(f"{path}:{n}", value, json.dumps(value)) for n, value in enumerate(values, 1))
    yield from _of_values(rows, columns, are_texts=True)
    if not values:
        yield InputRow(path, None, "empty_file", "the list is empty")


def _read_jsonl(path: str, lines: Iterable[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    return _of_values(_values(path, lines), columns)


def _values(path: str, lines: Iterable[bytes]) -> Iterator[_Value | InputRow]:
    """The values of lines of JSON."""
    number = 0
    for number, line in enumerate(lines, 1):
        source = f"{path}:{number}"
        if not line.strip(_BLANK):
            continue
        text = line.decode("utf-8", "backslashreplace").rstrip("\n")
        try:
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}", text)
        except (ValueError, RecursionError) as error:
            yield InputRow(source, None, "bad_json", f"not a JSON object: {error}", text)
        else:
            yield _Value(source, value, text)
    if not number:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _of_values(
    rows: Iterator[_Value | InputRow] | Iterator[_Value],
    columns: Sequence[str],
    *,
    are_texts: bool = False,
) -> Iterator[InputRow]:
    """Read values as rows.

    Args:
        are_texts: whether a text by itself is a prompt.
    """
    head = list(islice(rows, _LOOKED_AT))
    objects = [row.value for row in head if isinstance(row, _Value) and isinstance(row.value, dict)]
    column = first_of(columns, {name for each in objects for name in each})
    for row in chain(head, rows):
        if isinstance(row, InputRow):
            yield row
        elif are_texts and isinstance(row.value, str):
            yield _checked(row.source, {columns[0]: row.value}, columns[0], columns)
        else:
            yield _of_object(row, column, columns)


def _of_object(row: _Value, column: str | None, columns: Sequence[str]) -> InputRow:
    if not isinstance(row.value, dict):
        message = f"a JSON {type(row.value).__name__}, not an object"
        return InputRow(row.source, None, "bad_json", message, row.text)
    if column is None or column not in row.value:
        wanted = named(columns if column is None else (column,))
        message = f"no field {wanted} (fields: {_some(row.value)})"
        return InputRow(row.source, None, "no_prompt", message, row.text)
    try:
        return _checked(row.source, row.value, column, columns)
    except RecursionError:
        return InputRow(row.source, None, "bad_json", "nested too deeply", row.text)


def _some(names: Iterable[str]) -> str:
    return ", ".join(islice(names, 8)) or "none"


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
            column = first_of(columns, header)
            if column is None:
                raise InputError(
                    f"{path}:1: no column {named(columns)} (columns: {_some(header)}); "
                    + remedy(columns)
                )
        elif cells and len(cells) != len(header):
            message = f"{len(cells)} cells where the header has {len(header)}"
            yield InputRow(source, None, "bad_csv", message, delimiter.join(map(shown, cells)))
        elif cells and column:
            yield _checked(source, dict(zip(header, cells, strict=True)), column, columns)
    if header is None:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_parquet(path: str, file: IO[bytes], columns: Sequence[str]) -> Iterator[InputRow]:
    rows = ParquetRows(file, path)
    schema = rows.schema
    column = first_of(columns, schema.names)
    if column is None:
        raise InputError(
            f"{path}: no column {named(columns)} (columns: {_some(schema.names)}); "
            + remedy(columns)
        )
    read_ones = [each.name for each in schema if each.name == column or not _is_binary(each.type)]
    beside = beside_of(column, columns)
    parts = [each.name for each in schema if each.name in beside and _is_text(each)]
    exact = {column, *OWN, *parts}
    number = 0
    for number, values in enumerate(rows.read(read_ones), 1):
        source = f"{path}:{number}"
        if isinstance(values, LargeRow):
            yield InputRow(source, None, "too_large", str(values))
            continue
        try:
            row = {
                name: value.as_py() if name in exact else _lenient(value)
                for name, value in values.items()
            }
        except UnicodeDecodeError as error:
            yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}")
            continue
        yield _checked(source, row, column, columns)
    if not number:
        yield InputRow(path, None, "empty_file", "the file has no rows")


def _is_text(field: pa.Field) -> bool:
    kinds = (pa.string(), pa.large_string(), pa.string_view())
    return field.type in kinds


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _lenient(value: pa.Scalar) -> Any:
    """A value of a column that nothing depends on; None where Python has none for it."""
    try:
        return value.as_py()
    except (ValueError, ArithmeticError, NotImplementedError, pa.ArrowException):
        return None


def _checked(source: str, row: Mapping[str, Any], column: str, columns: Sequence[str]) -> InputRow:
    try:
        read_one = read_chat(row, column, columns)
    except BadChat as bad:
        return InputRow(source, None, bad.error, str(bad), bad.payload)
    prompt = read_one.last
    split = row.get(SPLIT_COLUMN) or ""
    if not isinstance(split, str) or not _SPLIT.fullmatch(split):
        message = f"`{SPLIT_COLUMN}` is {json.dumps(split, default=str)[:80]}, not a plain word"
        return InputRow(source, None, "bad_split", message, prompt)
    try:
        found = read_checks(row)
        unread: tuple[str, ...] = ()
        if found is None and row.get(GROUND_TRUTH):
            truth, unread = read_ground_truth(row[GROUND_TRUTH])
            found = truth or None
        complete = bool(found) and not unread and read_complete(row)
        return InputRow(
            source,
            prompt,
            checks=found,
            checks_complete=complete,
            split=split,
            extra=extra_of(row, *read_one.used),
            column=column,
            others=others_of(columns, read_one.used, row),
            earlier=read_one.earlier,
            notes=(*read_one.notes, *unread),
        )
    except BadChecks as error:
        return InputRow(source, None, "bad_checks", str(error), prompt)
    except NoChecker as error:
        raise InputError(f"{source}: {error}") from None


def remedy(columns: Sequence[str] = COLUMNS) -> str:
    """What a file of prompts, or of seeds, is."""
    what = "seeds" if columns == SEED_COLUMNS else "prompts"
    texts = [name for name in columns if name not in CHATS]
    chats = [name for name in columns if name in CHATS]
    held = [f"a text column {named(texts)}"] if texts else []
    held += [f"messages in {named(chats)}"] if chats else []
    return (
        f"{what} are JSONL, JSON, CSV, TSV or Parquet with {', or '.join(held)} "
        "(--prompt_column NAME: another), or .txt with one a line"
    )
