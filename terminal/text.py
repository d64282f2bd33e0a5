"""Values as text and tables that no terminal acts on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_LOGIN = re.compile(rf"({_SCHEME})(?:(?!,{_SCHEME})\S)*@")


def without_logins(text: str) -> str:
    """Return a text whose URLs are without name and password.

    All before the last `@` of a URL is left out, also where a `/` stands before it: a password
    that was not written as URLs demand is one all the same.
    """
    return _LOGIN.sub(r"\1***@", text) if "@" in text else text


def as_text(value: Any) -> str:
    """A value as text that no terminal acts on: control characters are spelt out."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    text = "" if value is None else f"{value:,}" if is_count else str(value)
    return "".join(c if _is_harmless(c) else f"\\u{ord(c):04x}" for c in text)


def _is_harmless(character: str) -> bool:
    """Whether it only stands for itself: no control character, no change of writing direction."""
    return character in "\n\t" or (
        unicodedata.category(character) not in ("Cc", "Cs")
        and not "\u202a" <= character <= "\u202e"
        and not "\u2066" <= character <= "\u2069"
    )


def reason(error: BaseException) -> str:
    """Return what an error says, in a line; its type if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def as_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> Table:
    """Rows as a terminal table; numbers to the right, text as text."""
    table = Table(title=title or None, title_justify="left")
    for number, name in enumerate(columns):
        is_number = any(isinstance(row[number], (int, float)) for row in rows)
        table.add_column(
            Text(as_text(name)), justify="right" if is_number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(as_text(value)) for value in row))
    return table
