"""The writer that is shown eight tasks: what it is shown, and how its task is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from spar_core.engine.protocol import Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.evolution.self_instruct import SHOWN, WRITTEN, instruct, read_task
from spar_core.evolution.sifting import SiftSettings
from spar_core.ids import evolution_id
from spar_core.stage import Context
from spar_core.stages.self_instruct import EVOLVE, PROPOSE, InstructSettings

DRAWN = Sampling(0.7, 1.0, 256)
SEEDS = [f"s{number:02}" for number in range(40)]


@pytest.mark.parametrize(
    ("said", "task"),
    [
        ("Task 9: Name a river.", "Name a river."),
        ("**Task 9:** Name a river.\n\nTask 10: Name a lake.", "Name a river."),
        ('task 9: "Rivers" - say what the word means.', '"Rivers" - say what the word means.'),
        ("Task: Name a river.\nIt is long.", "Name a river.\nIt is long."),
        ("Name a river.", ""),
        ("Task 9:", ""),
        ("", ""),
    ],
)
def test_the_first_task_is_read(said: str, task: str) -> None:
    assert read_task(said) == task


def test_it_is_asked_again_until_a_task_can_be_read_or_thrice() -> None:
    texts = iter(["I would rather not.", "Task 3: Name a river."])
    engine = ScriptedEngine(lambda _: [next(texts)])
    made = asyncio.run(instruct(engine, ["a", "b"], DRAWN, 1))
    assert (made.prompt, made.dropped) == ("Name a river.", None)
    assert len({request.seed for request in engine.requests}) == 2
    assert "Task 1: a\n\nTask 2: b\n" in engine.requests[0].messages[0]["content"]
    engine = ScriptedEngine(lambda _: ["no"])
    made = asyncio.run(instruct(engine, ["a"], DRAWN, 1))
    assert (made.prompt, made.dropped, made.why) == (None, "off_format", "no")
    assert len(engine.requests) == 3 and made.completion_tokens == 3


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute(
            """create table seeds (seed_id varchar, seed varchar, position int, split varchar,
                signature bigint[], bands bigint[]);
            create table scope (seed_id varchar);
            create table drafts (evolution_id varchar, seed_id varchar, prompt varchar,
                dropped varchar)"""
        )
        for number, key in enumerate(SEEDS):
            said = [key, f"do {key}", number, "train", [number * 997] * 64, [number]]
            made.execute("insert into seeds values (?, ?, ?, ?, ?, ?)", said)
            made.execute("insert into scope values (?)", [key])
        yield made


def items(db: duckdb.DuckDBPyConnection, stage: Any, seed: int = 0) -> list[dict[str, Any]]:
    result = db.execute(f"select * from ({stage.items}) order by key", {"seed": seed})
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def propose(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Write a prompt for each seed that comes first, one of which is dropped."""
    keys = [item["key"] for item in items(db, PROPOSE)]
    for number, key in enumerate(keys):
        dropped = None if number else "off_format"
        said = [evolution_id(1, key), key, f"new {key}", dropped]
        db.execute("insert into drafts values (?, ?, ?, ?)", said)
    return keys


def shown(item: dict[str, Any]) -> list[str]:
    """What the model is shown for an item."""
    engine = ScriptedEngine(lambda _: ["no"])
    settings = InstructSettings(sift=SiftSettings(language="any", least_words=1), write=DRAWN)
    asyncio.run(PROPOSE.task(Context({"writer": engine}, settings, 1, "main"), item))
    said = engine.requests[0].messages[0]["content"]
    lines = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("Task ")]
    return lines[:-1]


def test_every_seed_has_its_turn_once_and_those_that_come_first_see_seeds_alone(
    db: duckdb.DuckDBPyConnection,
) -> None:
    first = propose(db)
    rest = [item["key"] for item in items(db, EVOLVE)]
    assert sorted([*first, *rest]) == SEEDS
    assert 3 <= len(first) <= 20
    for item in items(db, PROPOSE):
        tasks = shown(item)
        assert tasks[0] == item["seed"]
        assert len(set(tasks)) == SHOWN and all(task.startswith("do ") for task in tasks)


def test_the_others_see_six_seeds_and_two_that_were_written_before(
    db: duckdb.DuckDBPyConnection,
) -> None:
    first = propose(db)
    kept = {f"new {key}" for key in first[1:]}
    everything = set()
    for item in items(db, EVOLVE):
        tasks = shown(item)
        assert tasks[0] == item["seed"] and len(set(tasks)) == SHOWN
        assert all(task.startswith("do ") for task in tasks[:-WRITTEN])
        assert {*tasks[-WRITTEN:]} <= kept
        everything |= {*tasks}
    assert everything >= kept
    assert len(everything) == len(kept) + len(SEEDS)


def test_what_an_item_is_shown_does_not_depend_on_what_else_is_done(
    db: duckdb.DuckDBPyConnection,
) -> None:
    propose(db)
    before = items(db, EVOLVE)
    later = next(item["key"] for item in before)
    db.execute("insert into drafts values ('e', ?, 'new', null)", [later])
    assert items(db, EVOLVE) == before
    assert items(db, EVOLVE, seed=1) != before


def test_with_few_seeds_there_is_less_to_show(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("delete from seeds where seed_id > 's02'")
    for item in [*items(db, PROPOSE), *items(db, EVOLVE)]:
        assert {*shown(item)} == {"do s00", "do s01", "do s02"}


def test_a_copy_of_what_was_shown_is_dropped(db: duckdb.DuckDBPyConnection) -> None:
    item = items(db, PROPOSE)[0]
    text = item["others"][0]["text"]
    engine = ScriptedEngine(lambda _: [f"Task 9: {text}!"])
    settings = InstructSettings(sift=SiftSettings(language="any", least_words=1), write=DRAWN)
    context = Context({"writer": engine}, settings, 1, "main")
    (row,) = dict(asyncio.run(PROPOSE.task(context, item)))["drafts"]
    assert (row.dropped, row.near) == ("near_duplicate", item["others"][0]["id"])
    assert row.prompt == f"{text}!"
