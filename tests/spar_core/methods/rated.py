"""Rated responses in DuckDB, for the SQL of methods that select among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from spar_core.stage import Stage

Item = dict[str, Any]


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Prompts `p` and `q` to do, `elsewhere` not."""
    with duckdb.connect() as made:
        made.execute(
            """
            create table prompts (prompt_id varchar, prompt varchar,
                checks struct(id varchar, kwargs varchar)[]);
            create table scope (prompt_id varchar);
            create table responses (response_id varchar, prompt_id varchar, response varchar);
            create table ratings (rating_id varchar, response_id varchar, prompt_id varchar,
                number int, score double, critique varchar);
            create table battles (response_id varchar, prompt_id varchar,
                first_rating_id varchar, second_rating_id varchar, winner varchar)"""
        )
        for prompt in ("p", "q", "elsewhere"):
            made.execute("insert into prompts values (?, ?, null)", [prompt, f"do {prompt}"])
        made.execute("insert into scope values ('p'), ('q')")
        yield made


def answer(
    db: duckdb.DuckDBPyConnection,
    name: str,
    scores: Sequence[float | None],
    *,
    prompt: str = "p",
    text: str = "",
) -> None:
    """A response with its ratings; their texts are all different."""
    response = text or f"text of {name}"
    db.execute("insert into responses values (?, ?, ?)", [name, prompt, response])
    for number, score in enumerate(scores):
        said = f"{number}: {score}"
        row = [f"{name}.s{number}", name, prompt, number, score, said]
        db.execute("insert into ratings values (?, ?, ?, ?, ?, ?)", row)


def items(db: duckdb.DuckDBPyConnection, stage: Stage[Any], **settings: object) -> list[Item]:
    """A stage's items by their keys."""
    bound = {"seed": 0, **settings}
    named = {name: value for name, value in bound.items() if f"${name}" in stage.items}
    rows: list[Item] = db.sql(stage.items, params=named or None).to_arrow_table().to_pylist()
    return sorted(rows, key=lambda row: str(row["key"]))
