"""A run in a few tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
from rich.console import Console

from schemas.views import connect
from terminal.text import as_table

_TITLES = {
    "pair_quality": "Pair quality",
    "variants": "Variants and methods",
    "solved_by_depth": "Trees, by the depth of their chosen node",
    "verdicts": "Verdicts on the sampled responses",
    "rating_scores": "The actor's ratings of its own answers, by score",
    "battle_outcomes": "Comparisons of ratings, by the place that won",
    "evolution_outcomes": "Seeds, by what became of them",
    "lesson_counts": "A teacher's lessons, by what became of them",
    "verifier_outcomes": "Functions that check answers, by what became of them",
    "judge_bias": "Verdicts beside checks, by stage",
    "token_cost": "Tokens, by stage",
    "engine_use": "Use of the engine, by stage",
    "failures_by_cause": "Failures, by cause",
}

_TURNED = {"pair_quality", "variants", "engine_use", "judge_bias"}
"""Views shown with a row for each column."""

_HEADS = ("iteration", "variant", "method", "stage")
"""Leading columns that make the head of a table that is turned."""

_Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Columns and rows."""


def print_summary(run: str, console: Console, iteration: int | None = None) -> None:
    """Print the views that sum a run up; those without rows are left out.

    Where data rounds are of one variant, or of one method, no table says so that has no other.
    """
    where = "" if iteration is None else f" where iteration = {int(iteration)}"
    with connect(run) as connection:
        hidden = _hidden(connection, where)
        is_empty = True
        for view, title in _TITLES.items():
            if view == "variants" and {"variant", "method"} <= hidden:
                continue
            columns, rows = _shown(connection.sql(f"select * from {view}{where}"), hidden)
            if view == "pair_quality" and not rows and _is_judged(connection, where):
                console.print("No pairs yet: no tree is solved.")
                is_empty = False
            if view in _TURNED:
                columns, rows = _turned(columns, rows)
            elif len({row[0] for row in rows}) == 1:
                columns, rows = columns[1:], [row[1:] for row in rows]
            if rows:
                console.print(as_table(columns, rows, title))
                is_empty = False
        if is_empty:
            console.print("There is nothing to sum up yet.")


def _is_judged(connection: duckdb.DuckDBPyConnection, where: str) -> bool:
    """Whether there is anything that pairs could have come of."""
    query = f"(from judgements select 1{where}) union all (from trees select 1{where}) limit 1"
    return bool(connection.sql(query).fetchall())


def _hidden(connection: duckdb.DuckDBPyConnection, where: str) -> set[str]:
    """Columns that would hold the same word wherever data rounds are compared."""
    [(variants,)] = connection.execute(
        f"select count(distinct variant) filter (stage = 'sample') from lineage{where}"
    ).fetchall()
    [(methods,)] = connection.execute(f"select count(distinct method) from pairs{where}").fetchall()
    hidden = {"variant", "made_by"} if variants < 2 else set()
    return hidden | ({"method"} if methods < 2 else set())


def _shown(relation: duckdb.DuckDBPyRelation, hidden: set[str]) -> _Table:
    """A view's columns and rows without hidden columns, unless these hold several words here."""
    columns, rows = relation.columns, relation.fetchall()
    kept = [
        i
        for i, name in enumerate(columns)
        if name not in hidden or len({row[i] for row in rows} - {None}) > 1
    ]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _turned(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> _Table:
    """Rows turned into columns, their first values the head; what is null in all is left out."""
    heads = next(i for i, name in enumerate(columns) if name not in _HEADS)
    names = [
        f"{columns[0]} {' '.join(str(cell) for cell in row[:heads] if cell is not None)}"
        for row in rows
    ]
    body = [[name, *(row[i] for row in rows)] for i, name in enumerate(columns) if i >= heads]
    return ["", *names], [line for line in body if any(cell is not None for cell in line[1:])]
