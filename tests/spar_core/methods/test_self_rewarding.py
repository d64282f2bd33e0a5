"""Self-Rewarding: which answers are paired, and what a pair says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import duckdb
import pytest

from spar_core.methods.self_rewarding import SELF_REWARDING
from spar_core.stage import Context, StageSettings
from tests.spar_core.methods.rated import Item, answer, database, items


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with database() as made:
        yield made


def sides(item: Item) -> tuple[str, str, float, float]:
    return (
        item["chosen_response_id"],
        item["rejected_response_id"],
        item["chosen_value"],
        item["rejected_value"],
    )


def test_the_highest_mean_is_over_the_lowest(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "good", [5, 4, 5])
    answer(db, "fair", [3, 3, 3])
    answer(db, "bad", [1, 0, 1])
    answer(db, "other", [2, 2, 2], prompt="q")
    answer(db, "as good", [1, 2, 3], prompt="q")
    answer(db, "no.1", [5, 5, 5], prompt="elsewhere")
    answer(db, "no.2", [0, 0, 0], prompt="elsewhere")
    [item] = items(db, SELF_REWARDING)
    assert item["key"] == "p"
    assert sides(item) == ("good", "bad", 4.666667, 0.666667)


def test_without_enough_readable_ratings_there_is_no_mean(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "muttered", [5, None, None])
    answer(db, "half", [5, None])
    answer(db, "good", [4, None, 3])
    answer(db, "bad", [1, 1, 1])
    [item] = items(db, SELF_REWARDING)
    assert sides(item) == ("good", "bad", 3.5, 1.0)


def test_among_equal_means_the_seed_draws(db: duckdb.DuckDBPyConnection) -> None:
    for number in range(3):
        answer(db, f"good{number}", [5])
        answer(db, f"bad{number}", [0])
    drawn = {sides(items(db, SELF_REWARDING, seed=seed)[0])[:2] for seed in range(60)}
    assert len(drawn) == 9
    assert items(db, SELF_REWARDING, seed=1) == items(db, SELF_REWARDING, seed=1)


def test_a_pair_has_means_and_no_votes(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "good", [5, 4])
    answer(db, "bad", [1, 1])
    [item] = items(db, SELF_REWARDING)
    context = Context({}, StageSettings(), 2, "main")
    [pair] = asyncio.run(SELF_REWARDING.task(context, item))["pairs"]
    assert pair.pair_id == "i2.p.self_rewarding.pair"
    assert (pair.method, pair.prompt_id) == ("self_rewarding", "p")
    assert (pair.chosen_value, pair.rejected_value) == (4.5, 1.0)
    assert (pair.chosen_yes_votes, pair.tree_id, pair.depth) == (None,) * 3
    assert pair.prompt[0].content == "do p"
    assert asyncio.run(SELF_REWARDING.task(context, item | {"rejected": item["chosen"]})) == {}


def test_both_sides_are_checked_where_the_prompt_has_checks(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "good", [5], text="no commas here")
    answer(db, "bad", [1], text="well, some")
    [item] = items(db, SELF_REWARDING)
    item["checks"] = [{"id": "punctuation:no_comma", "kwargs": "{}"}]
    context = Context({}, StageSettings(), 1, "main")
    [pair] = asyncio.run(SELF_REWARDING.task(context, item))["pairs"]
    assert (pair.chosen_checked, pair.rejected_checked) == (True, False)
