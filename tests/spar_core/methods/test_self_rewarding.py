"""Self-Rewarding: which answers are paired, and what a pair says of them."""

from __future__ import annotations

import pytest

from schemas.pairs import Pair
from spar_core.methods.self_rewarding import SELF_REWARDING, STAGES
from spar_core.testing import run_stage, run_stages
from tests.spar_core.methods import actor
from tests.spar_core.methods.rated import answer
from tests.spar_core.rows import Tables, prompts


@pytest.fixture
def tables() -> Tables:
    return prompts()


def pairs(tables: Tables, **options: object) -> list[Pair]:
    made: list[Pair] = run_stage(SELF_REWARDING, tables, **options)["pairs"]
    return made


def sides(pair: Pair) -> tuple[str | None, str, float | None, float | None]:
    return (
        pair.chosen_response_id,
        pair.rejected_response_id,
        pair.chosen_value,
        pair.rejected_value,
    )


def test_the_highest_mean_is_over_the_lowest(tables: Tables) -> None:
    answer(tables, "good", [5, 4, 5])
    answer(tables, "fair", [3, 3, 3])
    answer(tables, "bad", [1, 0, 1])
    answer(tables, "other", [2, 2, 2], prompt="q")
    answer(tables, "as good", [1, 2, 3], prompt="q")
    answer(tables, "no.1", [5, 5, 5], prompt="elsewhere")
    answer(tables, "no.2", [0, 0, 0], prompt="elsewhere")
    made = run_stage(SELF_REWARDING, tables)
    assert [item["key"] for item in made.items["self_rewarding"]] == ["p"]
    assert [*map(sides, made["pairs"])] == [("good", "bad", 4.666667, 0.666667)]


def test_without_enough_readable_ratings_there_is_no_mean(tables: Tables) -> None:
    answer(tables, "muttered", [5, None, None])
    answer(tables, "half", [5, None])
    answer(tables, "good", [4, None, 3])
    answer(tables, "bad", [1, 1, 1])
    assert [*map(sides, pairs(tables))] == [("good", "bad", 3.5, 1.0)]


def test_among_equal_means_the_seed_draws(tables: Tables) -> None:
    for prompt in range(60):
        tables["prompts"].append({"prompt_id": f"p{prompt}", "prompt": "do it"})
        for number in range(3):
            answer(tables, f"{prompt}.good{number}", [5], prompt=f"p{prompt}")
            answer(tables, f"{prompt}.bad{number}", [0], prompt=f"p{prompt}")
    drawn = [sides(pair)[:2] for pair in pairs(tables)]
    assert len({(str(chosen)[-1], rejected[-1]) for chosen, rejected in drawn}) == 9
    assert drawn == [sides(pair)[:2] for pair in pairs(tables)]
    assert drawn != [sides(pair)[:2] for pair in pairs(tables, seed=1)]


def test_a_pair_has_means_and_no_votes(tables: Tables) -> None:
    answer(tables, "good", [5, 4])
    answer(tables, "bad", [1, 1])
    [pair] = pairs(tables, iteration=2)
    assert pair.pair_id == "i2.p.self_rewarding.pair"
    assert (pair.method, pair.prompt_id) == ("self_rewarding", "p")
    assert (pair.chosen_value, pair.rejected_value) == (4.5, 1.0)
    assert (pair.chosen_yes_votes, pair.tree_id, pair.depth) == (None,) * 3
    assert pair.prompt[0].content == "do p"
    [of_another] = pairs(tables, iteration=2, variant="more")
    assert of_another.pair_id != pair.pair_id


def test_equal_answers_make_no_pair(tables: Tables) -> None:
    answer(tables, "good", [5], text="the same")
    answer(tables, "bad", [1], text="the same\n")
    assert pairs(tables) == []


def test_both_sides_are_checked_where_the_prompt_has_checks(tables: Tables) -> None:
    tables["prompts"][0]["checks"] = [{"id": "punctuation:no_comma", "kwargs": "{}"}]
    answer(tables, "good", [5], text="no commas here")
    answer(tables, "bad", [1], text="well, some")
    [pair] = pairs(tables)
    assert (pair.chosen_checked, pair.rejected_checked) == (True, False)


def test_a_whole_round_pairs_the_best_mean_with_the_worst() -> None:
    made = run_stages(STAGES, {"prompts": actor.PROMPTS}, actor.play)
    assert len(made["ratings"]) == len({row.rating_id for row in made["ratings"]}) == 90
    found = sorted(made["pairs"], key=lambda pair: pair.prompt[0].content)
    assert [pair.prompt[0].content for pair in found] == actor.TEXTS[:5], "no pair of equal means"
    for pair in found:
        chosen, rejected = actor.number(pair.chosen_response_id), pair.rejected_response_id
        assert chosen in (2, 3) and actor.number(rejected) == 1
        assert sides(pair)[2:] == (pytest.approx(14 / 3), pytest.approx(1 / 3))
        text = pair.chosen[0].content
        assert text.startswith(f"answer {chosen} ")
        assert pair.rejected[0].content.startswith("answer 1 ")
        assert pair.chosen_chars == len(text)


def test_unreadable_ratings_are_counted_and_make_no_mean() -> None:
    """Of three ratings of the best answer one can be read, of all others two."""
    made = run_stages(STAGES, {"prompts": actor.PROMPTS}, actor.mumble)
    read = [row.score is not None for row in made["ratings"]]
    assert (read.count(False), len(read)) == (40, 90)
    means = {(pair.chosen_value, pair.rejected_value) for pair in made["pairs"]}
    assert means == {(2.5, 0.5)}, "answer 0 with a 3 and a 2, answer 1 with a 0 and a 1"
