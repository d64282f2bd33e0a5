"""A run in a few tables for the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inspection.training_pairs import NOT_DENIED
from schemas import manifest, run_folder
from schemas.views import connect
from terminal.console import Console
from terminal.text import as_table

if TYPE_CHECKING:
    import duckdb

_TITLES = {
    "pair_quality": "Pair quality",
    "variants": "Variants and methods",
    "solved_by_depth": "Trees, by the depth of their chosen node",
    "left_out_responses": "Sampled responses left out: cut off, or empty",
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

_ROWS_OF = {
    "rating_scores": {"ratings"},
    "battle_outcomes": {"battles"},
    "evolution_outcomes": {"evolutions"},
    "lesson_counts": {"sft_actor", "lessons", "drops"},
    "verifier_outcomes": {"verifiers"},
}
"""Tables of which a view's rows come. Most runs have none, and to define a view takes time."""

_READ = ("pairs", "judgements", "trees", "lineage")

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
    titles = _titles(run)
    kinds = ("lesson_kinds",) if "lesson_counts" in titles else ()
    with connect(run, (*titles, *kinds, *_READ)) as connection:
        hidden = _hidden(connection, where)
        is_empty = True
        for view, title in titles.items():
            if view == "variants" and {"variant", "method"} <= hidden:
                continue
            columns, rows = _shown(connection.sql(f"select * from {view}{where}"), hidden)
            if view == "pair_quality" and not rows and (why := _no_pairs(connection, where)):
                console.print(f"No pairs yet: {why}.")
                is_empty = False
            if view in _TURNED:
                columns, rows = _turned(columns, rows)
            elif len({row[0] for row in rows}) == 1:
                columns, rows = columns[1:], [row[1:] for row in rows]
            if rows:
                console.print(as_table(columns, rows, title))
                is_empty = False
            if view == "lesson_counts" and rows:
                _warn_of_kinds(connection, console, where)
        if is_empty:
            console.print("There is nothing to sum up yet.")
        elif denied := _denied(connection, where):
            console.print(denied, markup=False, soft_wrap=True)


def _titles(run: str) -> dict[str, str]:
    """The views that can have rows in a run, with their titles."""
    entries = manifest.read(*run_folder.opened(run)).values()
    written = {table for entry in entries for table in entry.files}
    return {
        view: title
        for view, title in _TITLES.items()
        if view not in _ROWS_OF or _ROWS_OF[view] & written
    }


def _warn_of_kinds(connection: duckdb.DuckDBPyConnection, console: Console, where: str) -> None:
    """Say of which kinds of constraints a refiner does not learn judgements of both verdicts."""
    one_sided = connection.execute(
        f"select kind, sum(yes), sum(no) from (from lesson_kinds{where}) group by kind "
        "having sum(learnt_yes) = 0 or sum(learnt_no) = 0 order by kind"
    ).fetchall()
    if one_sided:
        kinds = ", ".join(f"{kind} ({yes} Yes, {no} No)" for kind, yes, no in one_sided)
        console.print(
            f"warning: the refiner learns no judgement on {kinds}: there must be lessons of both "
            "verdicts on prompts that ask for the same kinds",
            markup=False,
            soft_wrap=True,
        )


def _no_pairs(connection: duckdb.DuckDBPyConnection, where: str) -> str:
    """Why there are no pairs yet; "" where there is nothing that they could have come of."""
    [(trees, solved)] = connection.sql(
        f"select count(*), count(*) filter (solved) from trees{where}"
    ).fetchall()
    if solved:
        return "python -m pipelines.pairs makes them of the solved trees"
    if trees:
        return "no tree is solved"
    [(judged,)] = connection.sql(f"select count(*) from judgements{where}").fetchall()
    return "no tree has been grown" if judged else ""


def _denied(connection: duckdb.DuckDBPyConnection, where: str) -> str:
    """How many pairs have a chosen side that a program denies, and what leaves them out."""
    rows = connection.sql(
        "select variant, count(*) filter (chosen_checked = false) as denied, count(*) "
        f"from pairs{where} group by variant having denied > 0 order by variant"
    ).fetchall()
    if not rows:
        return ""
    told = "; ".join(f"{denied:,} of the {pairs:,} of {name}" for name, denied, pairs in rows)
    return (
        f"The checks of their prompts deny the chosen side of pairs: {told}. Train without them: "
        f"--where {shlex.quote(NOT_DENIED)}; a --variant with --checks veto makes none."
    )


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
