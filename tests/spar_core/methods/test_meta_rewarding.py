"""Meta-Rewarding: length held, and which rating is preferred."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from schemas.judge_pairs import JudgePair
from spar_core.methods.meta_rewarding import JUDGE_PAIRS, LONGEST, META_REWARDING, STAGES
from spar_core.testing import Made, run_stage, run_stages
from tests.spar_core.methods import actor
from tests.spar_core.methods.rated import answer, items
from tests.spar_core.rows import Tables, add, prompts


@pytest.fixture
def tables() -> Tables:
    return prompts()


@pytest.fixture(scope="module")
def whole() -> Made:
    """A whole round of an actor whose qualities are known; for reading only."""
    return run_stages(STAGES, {"prompts": actor.PROMPTS}, actor.play)


@pytest.mark.parametrize(
    ("rho", "chosen", "rejected"),
    [(0.0, "long5", "short0"), (0.2, "short4", "long1"), (0.5, "shortest3", "long1")],
)
def test_the_shortest_of_the_high_is_over_the_longest_of_the_low(
    tables: Tables, rho: float, chosen: str, rejected: str
) -> None:
    """Means from 0 to 5: a rho of 0.2 takes those of 4 and of 1 in, one of 0.5 that of 3."""
    for name, score, chars in (
        *(("long5", 5, 90), ("short4", 4, 20), ("shortest3", 3, 10)),
        *(("long1", 1, 80), ("short0", 0, 15)),
    ):
        answer(tables, name, [score], text=name.ljust(chars, "."))
    [pair] = run_stage(META_REWARDING, tables, rho=rho)["pairs"]
    assert (pair.chosen_response_id, pair.rejected_response_id) == (chosen, rejected)
    assert pair.chosen_value > pair.rejected_value


def test_equal_means_make_no_pair_whatever_the_lengths(tables: Tables) -> None:
    answer(tables, "short", [3], text="x")
    answer(tables, "long", [3], text="xxx")
    assert items(META_REWARDING, tables, rho=0.5) == []


def test_one_in_the_middle_is_not_paired_with_itself(tables: Tables) -> None:
    answer(tables, "low", [0], text="xx")
    answer(tables, "middle", [2], text="x")
    answer(tables, "high", [4], text="xx")
    for rho in (0.0, 0.3, 0.5):
        for item in items(META_REWARDING, tables, rho=rho):
            assert item["chosen_response_id"] != item["rejected_response_id"]


def battle(tables: Tables, response: str, first: str, second: str, winner: str | None) -> None:
    names = {"first_rating_id": f"{response}.s{first}", "second_rating_id": f"{response}.s{second}"}
    add(tables, "battles", response_id=response, prompt_id="p", winner=winner, **names)


def fight(tables: Tables, response: str, order: str) -> None:
    """All battles of a response's ratings: those named earlier are better."""
    for one, other in itertools.permutations(order, 2):
        is_first = order.index(one) < order.index(other)
        battle(tables, response, one, other, "first" if is_first else "second")


def judge_pairs(tables: Tables, **options: Any) -> list[JudgePair]:
    made: list[JudgePair] = run_stage(JUDGE_PAIRS, tables, **options)["judge_pairs"]
    return made


def test_the_best_rating_is_over_the_worst(tables: Tables) -> None:
    answer(tables, "i1.p.r0", [1, 5, 3])
    fight(tables, "i1.p.r0", "201")
    battle(tables, "i1.p.r0", "1", "2", None)
    [item] = items(JUDGE_PAIRS, tables)
    assert item["key"] == "i1.p.r0:3:3"
    [pair] = judge_pairs(tables)
    assert pair.pair_id == "i1.p.r0.meta_rewarding.pair"
    assert (pair.chosen_rating_id, pair.rejected_rating_id) == ("i1.p.r0.s2", "i1.p.r0.s1")
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("2: 3", "1: 5")
    assert (pair.chosen_score, pair.rejected_score) == (3.0, 5.0)
    assert pair.chosen_elo > 0 > pair.rejected_elo
    assert "text of i1.p.r0" in pair.prompt[0].content and pair.prompt[0].role == "user"
    [of_another] = judge_pairs(tables, variant="other")
    assert of_another.pair_id == "i1.p.r0.meta_rewarding.other.pair"


@pytest.mark.parametrize(("more", "pairs"), [(0, 1), (1, 0)])
def test_an_overlong_rating_is_not_preferred(tables: Tables, more: int, pairs: int) -> None:
    """Nor is another one in its place: whoever compares has found that worse."""
    answer(tables, "r", [1, 5, 3])
    fight(tables, "r", "201")
    for row in tables["ratings"]:
        row["critique"] = row["critique"].ljust(LONGEST + (more if row["number"] == 2 else 9), ".")
    assert len(judge_pairs(tables)) == pairs


def test_a_place_that_wins_everywhere_else_weighs_less(tables: Tables) -> None:
    """Both won once against each other, one of them in the place that hardly ever wins."""
    answer(tables, "r", [1, 5])
    answer(tables, "elsewhere", [2, 4])
    battle(tables, "r", "0", "1", "first")
    battle(tables, "r", "1", "0", "first")
    battle(tables, "r", "0", "1", "second")
    for _ in range(5):
        battle(tables, "elsewhere", "0", "1", "first")
    item = next(each for each in items(JUDGE_PAIRS, tables) if each["response_id"] == "r")
    assert (item["first_wins"], item["second_wins"]) == (7, 1)
    [pair] = [each for each in judge_pairs(tables) if each.response_id == "r"]
    assert pair.chosen_rating_id == "r.s1"


def test_battles_that_only_the_place_decides_make_no_pair(tables: Tables) -> None:
    answer(tables, "r", [1, 5])
    battle(tables, "r", "0", "1", "first")
    battle(tables, "r", "1", "0", "first")
    assert len(items(JUDGE_PAIRS, tables)) == 1
    assert judge_pairs(tables) == []


def test_a_whole_round_holds_the_length(whole: Made) -> None:
    """Of the two best answers the shorter one; among the low ones the longer one within rho."""
    assert len(whole["pairs"]) == 5
    assert {(pair.tree_id, pair.depth) for pair in whole["pairs"]} == {(None, None)}
    places = {
        tuple(map(actor.number, (pair.chosen_response_id, pair.rejected_response_id)))
        for pair in whole["pairs"]
    }
    assert places == {(2, 4)}, "means of 0.33 and 0.67 are less than a tenth of the range apart"
    strict = run_stage(META_REWARDING, whole.rows | {"prompts": actor.PROMPTS}, rho=0)["pairs"]
    assert {
        tuple(map(actor.number, (pair.chosen_response_id, pair.rejected_response_id)))
        for pair in strict
    } == {(2, 1)}


def test_in_a_whole_round_the_right_rating_is_preferred_over_the_wrong_one(whole: Made) -> None:
    assert len(whole["judge_pairs"]) == len(actor.PROMPTS)
    for pair in whole["judge_pairs"]:
        names = {f"{pair.response_id}.s{i}" for i in range(3)}
        assert {pair.chosen_rating_id, pair.rejected_rating_id} <= names
        assert pair.rejected_rating_id == f"{pair.response_id}.s1", "the one that is off"
        assert pair.chosen_elo > 0 > pair.rejected_elo
        assert abs(pair.chosen_score - pair.rejected_score) == 1
        assert pair.chosen[0].content.endswith(f"Score: {pair.chosen_score:.0f}")
        assert pair.rejected[0].content.endswith(f"Score: {pair.rejected_score:.0f}")
        asked = pair.prompt[0].content
        assert "You grade a Response" in asked and "answer" in asked


def test_a_place_that_always_wins_says_nothing() -> None:
    made = run_stages(STAGES, {"prompts": actor.PROMPTS}, actor.biased)
    assert [battle.winner for battle in made["battles"]] == ["first"] * 36
    assert made["judge_pairs"] == []
