"""A run in a few tables for the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.views import connect

_TITLES = {
    "pair_quality": "Pair quality",
    "solved_by_depth": "Trees, by the depth of their chosen node",
    "verdicts": "Verdicts on the sampled responses",
    "judge_bias": "Verdicts beside checks, by stage",
    "token_cost": "Tokens, by stage",
    "engine_use": "Use of the engine, by stage",
    "failures_by_cause": "Failures, by cause",
}


_TURNED = {"pair_quality": 1, "engine_use": 2, "judge_bias": 2}
"""Views shown with a row for each column, and how many columns make the head."""


def print_summary(run: str, console: Console, iteration: int | None = None) -> None:
    """Print the views that sum a run up; those without rows are left out."""
    with connect(run) as connection:
        for view, title in _TITLES.items():
            where = "" if iteration is None else f" where iteration = {int(iteration)}"
            relation = connection.sql(f"select * from {view}{where}")
            columns: Sequence[str] = relation.columns
            rows: Sequence[Sequence[Any]] = relation.fetchall()
            if view == "pair_quality" and not rows:
                console.print("No pairs yet: no tree is solved.")
            if view not in _TURNED and len({row[0] for row in rows}) == 1:
                columns, rows = columns[1:], [row[1:] for row in rows]
            if rows:
                heads = _TURNED.get(view)
                turned = _turned(columns, rows, heads) if heads else (columns, rows)
                console.print(as_table(*turned, title))


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


def _turned(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], heads: int
) -> tuple[list[str], list[list[Any]]]:
    """Rows turned into columns; their first values make the head."""
    names = [f"{columns[0]} {' '.join(map(str, row[:heads]))}" for row in rows]
    body = [[name, *(row[i] for row in rows)] for i, name in enumerate(columns)]
    return ["", *names], body[heads:]


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
