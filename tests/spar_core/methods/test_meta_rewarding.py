"""Meta-Rewarding: length held, whose ratings are compared, and which rating is preferred."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from spar_core.methods.meta_rewarding import JUDGE_PAIRS, META_REWARDING
from spar_core.stage import Context, StageSettings
from spar_core.stages.meta_judge import META_JUDGE
from tests.spar_core.methods.rated import answer, database, items


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with database() as made:
        yield made


@pytest.mark.parametrize(
    ("rho", "chosen", "rejected"),
    [(0.0, "long5", "short0"), (0.2, "short4", "long1"), (0.5, "shortest3", "long1")],
)
def test_the_shortest_of_the_high_is_over_the_longest_of_the_low(
    db: duckdb.DuckDBPyConnection, rho: float, chosen: str, rejected: str
) -> None:
    """Means from 0 to 5: a rho of 0.2 takes those of 4 and of 1 in, one of 0.5 that of 3."""
    for name, score, chars in (
        *(("long5", 5, 90), ("short4", 4, 20), ("shortest3", 3, 10)),
        *(("long1", 1, 80), ("short0", 0, 15)),
    ):
        answer(db, name, [score], text=name.ljust(chars, "."))
    [item] = items(db, META_REWARDING, rho=rho)
    assert (item["chosen_response_id"], item["rejected_response_id"]) == (chosen, rejected)
    assert item["chosen_value"] > item["rejected_value"]


def test_equal_means_make_no_pair_whatever_the_lengths(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "short", [3], text="x")
    answer(db, "long", [3], text="xxx")
    assert items(db, META_REWARDING, rho=0.5) == []


def test_one_in_the_middle_is_not_paired_with_itself(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "low", [0], text="xx")
    answer(db, "middle", [2], text="x")
    answer(db, "high", [4], text="xx")
    for rho in (0.0, 0.3, 0.5):
        for item in items(db, META_REWARDING, rho=rho):
            assert item["chosen_response_id"] != item["rejected_response_id"]


def test_the_ratings_that_differ_most_are_compared_each_with_each(
    db: duckdb.DuckDBPyConnection,
) -> None:
    answer(db, "sure", [3, 3, 3])
    answer(db, "unsure", [1, 5, 3])
    answer(db, "nearly", [2, 3, 3])
    answer(db, "q.sure", [4, 4], prompt="q")
    answer(db, "no", [0, 5], prompt="elsewhere")
    found = items(db, META_JUDGE)
    assert [item["key"] for item in found] == ["unsure.s0", "unsure.s1", "unsure.s2"]
    shown = [[other["rating_id"] for other in item["others"]] for item in found]
    assert shown == [
        ["unsure.s1", "unsure.s2"],
        ["unsure.s0", "unsure.s2"],
        ["unsure.s0", "unsure.s1"],
    ]
    assert found[0]["critique"] == "0: 1" and found[0]["response"] == "text of unsure"


def test_unreadable_ratings_and_equal_texts_are_not_compared(
    db: duckdb.DuckDBPyConnection,
) -> None:
    answer(db, "r", [1, None, 5, 5])
    db.execute("update ratings set critique = 'same' where number >= 2")
    assert [item["key"] for item in items(db, META_JUDGE)] == ["r.s0", "r.s2"]


def fight(db: duckdb.DuckDBPyConnection, response: str, order: str) -> None:
    """All battles of a response's ratings: those named earlier are better."""
    for one, other in itertools.permutations(order, 2):
        winner = "first" if order.index(one) < order.index(other) else "second"
        row = [response, "p", f"{response}.s{one}", f"{response}.s{other}", winner]
        db.execute("insert into battles values (?, ?, ?, ?, ?)", row)


def judge_pairs(item: dict[str, Any], variant: str = "main") -> list[Any]:
    context = Context({}, StageSettings(), 1, variant)
    made = asyncio.run(JUDGE_PAIRS.task(context, item))
    return list(made.get("judge_pairs", []))


def test_the_best_rating_is_over_the_worst(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "i1.p.r0", [1, 5, 3])
    fight(db, "i1.p.r0", "201")
    db.execute("insert into battles values ('i1.p.r0', 'p', 'i1.p.r0.s1', 'i1.p.r0.s2', null)")
    [item] = items(db, JUDGE_PAIRS)
    assert item["key"] == "i1.p.r0:3:3"
    [pair] = judge_pairs(item)
    assert pair.pair_id == "i1.p.r0.meta_rewarding.pair"
    assert (pair.chosen_rating_id, pair.rejected_rating_id) == ("i1.p.r0.s2", "i1.p.r0.s1")
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("2: 3", "1: 5")
    assert (pair.chosen_score, pair.rejected_score) == (3.0, 5.0)
    assert pair.chosen_elo > 0 > pair.rejected_elo
    assert "text of i1.p.r0" in pair.prompt[0].content and pair.prompt[0].role == "user"
    [of_another] = judge_pairs(item, "other")
    assert of_another.pair_id == "i1.p.r0.meta_rewarding.other.pair"


def test_a_place_that_wins_everywhere_else_weighs_less(db: duckdb.DuckDBPyConnection) -> None:
    """Both won once against each other, one of them in the place that hardly ever wins."""
    answer(db, "r", [1, 5])
    answer(db, "elsewhere", [2, 4])
    rows = [("r", "r.s0", "r.s1", "first"), ("r", "r.s1", "r.s0", "first")]
    rows += [("r", "r.s0", "r.s1", "second")]
    rows += [("elsewhere", "elsewhere.s0", "elsewhere.s1", "first")] * 5
    for response, one, other, winner in rows:
        row = [response, "p", one, other, winner]
        db.execute("insert into battles values (?, ?, ?, ?, ?)", row)
    item = next(each for each in items(db, JUDGE_PAIRS) if each["response_id"] == "r")
    assert (item["first_wins"], item["second_wins"]) == (7, 1)
    [pair] = judge_pairs(item)
    assert pair.chosen_rating_id == "r.s1"


def test_battles_that_only_the_place_decides_make_no_pair(db: duckdb.DuckDBPyConnection) -> None:
    answer(db, "r", [1, 5])
    for one, other in (("r.s0", "r.s1"), ("r.s1", "r.s0")):
        db.execute("insert into battles values ('r', 'p', ?, ?, 'first')", [one, other])
    [item] = items(db, JUDGE_PAIRS)
    assert judge_pairs(item) == []
