"""Meta-judge: whose ratings are compared, and what a battle says."""

from __future__ import annotations

import itertools

import pytest

from spar_core.methods import meta_rewarding
from spar_core.stages.meta_judge import META_JUDGE
from spar_core.testing import run_stage, run_stages
from tests.spar_core.methods import actor
from tests.spar_core.methods.rated import answer, items
from tests.spar_core.rows import Tables, prompts


@pytest.fixture
def tables() -> Tables:
    return prompts()


def test_the_ratings_that_differ_most_are_compared_each_with_each(tables: Tables) -> None:
    answer(tables, "sure", [3, 3, 3])
    answer(tables, "unsure", [1, 5, 3])
    answer(tables, "nearly", [2, 3, 3])
    answer(tables, "q.sure", [4, 4], prompt="q")
    answer(tables, "no", [0, 5], prompt="elsewhere")
    found = items(META_JUDGE, tables)
    assert [item["key"] for item in found] == ["unsure.s0", "unsure.s1", "unsure.s2"]
    shown = [[other["rating_id"] for other in item["others"]] for item in found]
    assert shown == [
        ["unsure.s1", "unsure.s2"],
        ["unsure.s0", "unsure.s2"],
        ["unsure.s0", "unsure.s1"],
    ]
    assert found[0]["critique"] == "0: 1" and found[0]["response"] == "text of unsure"


def test_unreadable_ratings_and_equal_texts_are_not_compared(tables: Tables) -> None:
    answer(tables, "r", [1, None, 5, 5])
    for row in tables["ratings"][2:]:
        row["critique"] = "same"
    assert [item["key"] for item in items(META_JUDGE, tables)] == ["r.s0", "r.s2"]


@pytest.mark.parametrize(
    ("text", "winner"),
    [("Better grader: A", "first"), ("Better grader: B", "second"), ("Neither.", None)],
)
def test_a_battle_says_which_place_won(tables: Tables, text: str, winner: str | None) -> None:
    answer(tables, "r", [1, 5])
    made = run_stage(META_JUDGE, tables, {"actor": text}, meta_temperature=0.3)
    assert [(row.first_rating_id, row.second_rating_id) for row in made["battles"]] == [
        ("r.s0", "r.s1"),
        ("r.s1", "r.s0"),
    ]
    for row in made["battles"]:
        assert (row.response_id, row.prompt_id) == ("r", "p")
        assert (row.winner, row.text, row.model, row.finish_reason) == (
            *(winner, text, "actor", "stop"),
        )
        assert row.prompt_tokens > 0 < row.completion_tokens
    asked = made.engines["actor"].requests
    assert {(each.n, each.sampling.temperature, each.grammar) for each in asked} == {(1, 0.3, None)}
    assert len({each.seed for each in asked}) == 2
    shown = asked[0].messages[-1]["content"]
    assert "do p" in shown and "text of r" in shown
    assert shown.index("0: 1") < shown.index("1: 5")


def test_constrained_it_has_a_grammar(tables: Tables) -> None:
    answer(tables, "r", [1, 5])
    made = run_stage(META_JUDGE, tables, "Better grader: A", constrained="on")
    assert all(each.grammar for each in made.engines["actor"].requests)


def test_all_orders_of_all_ratings_of_one_answer_to_each_prompt_are_compared() -> None:
    fought = run_stages(meta_rewarding.STAGES, {"prompts": actor.PROMPTS}, actor.play)["battles"]
    responses = {row.prompt_id: row.response_id for row in fought}
    assert len(responses) == len(actor.PROMPTS)
    assert {row.response_id for row in fought} == {*responses.values()}, "one of each prompt"
    for response in responses.values():
        names = [f"{response}.s{i}" for i in range(3)]
        shown = [row for row in fought if row.response_id == response]
        orders = [(row.first_rating_id, row.second_rating_id) for row in shown]
        assert sorted(orders) == sorted(itertools.permutations(names, 2))
        assert all(row.winner for row in shown)
