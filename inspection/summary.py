"""A run in a few tables for the terminal."""

from __future__ import annotations

from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from schemas.views import connect

_TITLES = {
    "pair_quality": "Pairs",
    "solved_by_depth": "Trees by the depth of their chosen node",
    "verdicts": "Verdicts on the sampled responses",
    "token_cost": "Tokens",
    "failures_by_cause": "Failures",
}


def print_summary(run: str, console: Console, iteration: int | None = None) -> None:
    """Print the views that sum a run up; those without rows are left out."""
    with connect(run) as connection:
        for view, title in _TITLES.items():
            where = "" if iteration is None else f" where iteration = {int(iteration)}"
            relation = connection.sql(f"select * from {view}{where}")
            rows = relation.fetchall()
            if rows:
                console.print(as_table(relation.columns, rows, title))
            elif view == "pair_quality":
                console.print("No pairs yet: no tree is solved.")


def as_table(columns: list[str], rows: list[tuple[Any, ...]], title: str = "") -> Table:
    """Rows as a terminal table; numbers to the right, text as it is."""
    table = Table(title=title or None, title_justify="left")
    for number, name in enumerate(columns):
        is_number = any(isinstance(row[number], (int, float)) for row in rows)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(value) for value in row))
    return table


def _shown(value: Any) -> Any:
    from rich.text import Text

    return Text("" if value is None else str(value))


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query."""
    relation = connection.sql(sql)
    return relation.columns, relation.fetchall()
