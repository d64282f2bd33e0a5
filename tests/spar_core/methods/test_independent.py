"""Independent pairs: whose answers are paired, and what a pair says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from spar_core.methods.independent import INDEPENDENT
from spar_core.stage import Context, StageSettings


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute(
            """
            create table prompts (prompt_id varchar, prompt varchar);
            create table scope (prompt_id varchar);
            create table responses (response_id varchar, prompt_id varchar, response varchar);
            create table judgements (response_id varchar, prompt_id varchar, verdict varchar,
                value double, yes_votes int, no_votes int, checked boolean)"""
        )
        for prompt in ("p", "q", "elsewhere"):
            made.execute("insert into prompts values (?, ?)", [prompt, f"do {prompt}"])
        made.execute("insert into scope values ('p'), ('q')")
        yield made


def answer(db: duckdb.DuckDBPyConnection, name: str, prompt: str, verdict: str) -> None:
    value, yes = {"yes": (0.8, 4), "no": (0.2, 1), "unclear": (0.5, 2)}[verdict]
    db.execute("insert into responses values (?, ?, ?)", [name, prompt, f"text of {name}"])
    db.execute(
        "insert into judgements values (?, ?, ?, ?, ?, ?, ?)",
        [name, prompt, verdict, value, yes, 5 - yes, verdict == "yes"],
    )


def items(db: duckdb.DuckDBPyConnection, seed: int = 0) -> list[dict[str, Any]]:
    result = db.execute(INDEPENDENT.items, {"seed": seed})
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def rows(item: dict[str, Any], variant: str = "main") -> dict[str, Any]:
    context = Context({}, StageSettings(), 2, variant)
    return dict(asyncio.run(INDEPENDENT.task(context, item)))


def test_a_yes_is_paired_with_a_no_of_the_same_prompt(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "p.yes", "p", "yes")
    answer(db, "p.no", "p", "no")
    answer(db, "p.unclear", "p", "unclear")
    answer(db, "q.yes", "q", "yes")
    answer(db, "q.unclear", "q", "unclear")
    answer(db, "other.yes", "elsewhere", "yes")
    answer(db, "other.no", "elsewhere", "no")
    (item,) = items(db)
    assert (item["key"], item["chosen"], item["rejected"]) == (
        *("p", "text of p.yes", "text of p.no"),
    )


def test_the_seed_draws_both_sides(db: duckdb.DuckDBPyConnection) -> None:
    for number in range(3):
        answer(db, f"yes{number}", "p", "yes")
        answer(db, f"no{number}", "p", "no")
    drawn = {
        (item["chosen_response_id"], item["rejected_response_id"])
        for seed in range(60)
        for item in items(db, seed)
    }
    assert len(drawn) == 9
    assert items(db, 1) == items(db, 1)


def test_a_pair_names_its_answers_and_no_tree(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "yes", "p", "yes")
    answer(db, "no", "p", "no")
    (item,) = items(db)
    (pair,) = rows(item)["pairs"]
    assert pair.pair_id == "i2.p.independent.pair"
    assert (pair.method, pair.prompt_id) == ("independent", "p")
    assert (pair.chosen_response_id, pair.rejected_response_id) == ("yes", "no")
    assert (pair.tree_id, pair.chosen_node_id, pair.depth, pair.refinements) == (None,) * 4
    assert (pair.chosen_yes_votes, pair.rejected_no_votes) == (4, 4)
    assert (pair.chosen_value, pair.rejected_value) == (0.8, 0.2)
    assert (pair.chosen_checked, pair.rejected_checked) == (True, False)
    assert pair.prompt[0].content == "do p"
    assert 0 < pair.similarity < 1
    (of_another,) = rows(item, "votes3")["pairs"]
    assert of_another.pair_id != pair.pair_id


def test_equal_answers_make_no_pair(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "yes", "p", "yes")
    answer(db, "no", "p", "no")
    (item,) = items(db)
    assert rows(item | {"rejected": item["chosen"] + "\n"}) == {}
