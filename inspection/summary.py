"""A run in a few tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from schemas.views import connect
from terminal.text import as_table

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


def _turned(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], heads: int
) -> tuple[list[str], list[list[Any]]]:
    """Rows turned into columns; their first values make the head."""
    names = [f"{columns[0]} {' '.join(map(str, row[:heads]))}" for row in rows]
    body = [[name, *(row[i] for row in rows)] for i, name in enumerate(columns)]
    return ["", *names], body[heads:]
