"""Columns of files of prompts or seeds: which one is read, and what becomes of the others."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spar_core.checks.reading import CHECKS_COLUMN, COMPLETE_COLUMN, IFEVAL_COLUMNS
from spar_core.surrogates import shown

CHATS = ("messages", "conversation", "conversations")
"""Columns that hold chats: lists of messages."""
COLUMNS = ("prompt", "instruction", "question", "query", *CHATS, "input", "text", "seed")
"""Columns that a prompt may stand in: the first of them that a file has."""
SEED_COLUMNS = ("prompt", "instruction", "seed", "text", "question", "query", "input", *CHATS)
"""The same of seeds: plain instructions, or texts."""
JOINED = ("instruction", "input")
"""Alpaca's two columns, which make one prompt where the first of them is read."""
SYSTEM_COLUMNS = ("system", "system_prompt")
"""Columns beside the prompt that hold its system message."""
SPLIT_COLUMN = "split"

OWN = frozenset({SPLIT_COLUMN, CHECKS_COLUMN, COMPLETE_COLUMN, *IFEVAL_COLUMNS})
"""Columns beside the prompt that have a meaning of their own, and so are no extra ones."""


def columns_of(name: str | None, usual: Sequence[str]) -> Sequence[str]:
    """Return the columns to look for: the one that `--prompt_column` names, or the usual ones."""
    return usual if name is None else (name,)


def first_of(columns: Sequence[str], there: Collection[str]) -> str | None:
    """Return the first of the columns that is there, None if none is."""
    return next((name for name in columns if name in there), None)


def named(columns: Sequence[str]) -> str:
    """Return columns in words: "`a`, `b` or `c`"."""
    quoted = [f"`{name}`" for name in columns]
    return " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)


def beside_of(column: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that may hold a part of the prompt beside the one that is read.

    Args:
        columns: those that were looked for: seeds have no such parts, and `input` belongs to
            `instruction` unless that is named.
    """
    if tuple(columns) == SEED_COLUMNS:
        return ()
    is_joined = column == JOINED[0] and tuple(columns) == COLUMNS
    return (*SYSTEM_COLUMNS, *(JOINED[1:] if is_joined else ()))


def others_of(
    columns: Sequence[str], used: Sequence[str], there: Collection[str]
) -> tuple[str, ...]:
    """Return those of the columns that are there beside the ones that are read."""
    return tuple(name for name in columns if name not in used and name in there)


def choice(column: str, others: Sequence[str]) -> str:
    """Say which of several columns is read, as the end of a line."""
    return f"; read from the column `{column}`, not {named(others)} (--prompt_column NAME)"


def extra_of(row: Mapping[str, Any], *used: str) -> str | None:
    """Return the columns of a row that have no meaning here, as a JSON object; None without any.

    Values that JSON or UTF-8 cannot hold are written as text; null, bytes and numbers that are not
    finite are null, and top-level nulls are left out.
    """
    plain = {
        shown(str(name)): _plain(value)
        for name, value in row.items()
        if name not in used and name not in OWN
    }
    held = {name: value for name, value in plain.items() if value is not None}
    return json.dumps(held, ensure_ascii=False) if held else None


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Mapping):
        return {shown(str(name)): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, (bytes, bytearray)) else shown(str(value))
