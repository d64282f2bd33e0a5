"""Independent pairs: whose answers are paired, and what a pair says of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spar_core.engine.protocol import ChatRequest
from spar_core.methods.independent import INDEPENDENT, STAGES
from spar_core.testing import run_stage, run_stages
from tests.loopback import as_script
from tests.pipelines import rounds
from tests.spar_core.methods import actor
from tests.spar_core.rows import Tables, judged, prompts


@pytest.fixture
def tables() -> Tables:
    return prompts()


def test_a_yes_is_paired_with_a_no_of_the_same_prompt(tables: Tables) -> None:
    judged(tables, "p.yes", "yes")
    judged(tables, "p.no", "no")
    judged(tables, "p.tie", "tie")
    judged(tables, "q.yes", "yes", "q")
    judged(tables, "q.tie", "tie", "q")
    judged(tables, "other.yes", "yes", "elsewhere")
    judged(tables, "other.no", "no", "elsewhere")
    [pair] = run_stage(INDEPENDENT, tables)["pairs"]
    assert (pair.prompt_id, pair.chosen[0].content, pair.rejected[0].content) == (
        *("p", "text of p.yes", "text of p.no"),
    )


def test_a_pair_has_what_was_thought_before_its_chosen_side(tables: Tables) -> None:
    judged(tables, "yes", "yes")
    judged(tables, "no", "no")
    for row in tables["responses"]:
        row["reasoning"] = f"before {row['response_id']}"
    [pair] = run_stage(INDEPENDENT, tables)["pairs"]
    assert pair.chosen_reasoning == "before yes"


def test_the_seed_draws_both_sides(tables: Tables) -> None:
    for prompt in range(60):
        tables["prompts"].append({"prompt_id": f"p{prompt}", "prompt": "do it"})
        for number in range(3):
            judged(tables, f"{prompt}.yes{number}", "yes", f"p{prompt}")
            judged(tables, f"{prompt}.no{number}", "no", f"p{prompt}")

    def drawn(seed: int) -> list[tuple[str, str]]:
        pairs = run_stage(INDEPENDENT, tables, seed=seed)["pairs"]
        return [(pair.chosen_response_id, pair.rejected_response_id) for pair in pairs]

    assert len({(chosen[-1], rejected[-1]) for chosen, rejected in drawn(0)}) == 9
    assert drawn(1) == drawn(1) != drawn(0)


def test_a_pair_names_its_answers_and_no_tree(tables: Tables) -> None:
    judged(tables, "yes", "yes")
    judged(tables, "no", "no")
    [pair] = run_stage(INDEPENDENT, tables, iteration=2)["pairs"]
    assert pair.pair_id == "i2.p.independent.pair"
    assert (pair.method, pair.prompt_id) == ("independent", "p")
    assert (pair.chosen_response_id, pair.rejected_response_id) == ("yes", "no")
    assert (pair.tree_id, pair.chosen_node_id, pair.depth, pair.refinements) == (None,) * 4
    assert (pair.chosen_yes_votes, pair.rejected_no_votes) == (4, 4)
    assert (pair.chosen_value, pair.rejected_value) == (0.8, 0.2)
    assert (pair.chosen_checked, pair.rejected_checked) == (True, False)
    assert pair.prompt[0].content == "do p"
    assert 0 < pair.similarity < 1
    [of_another] = run_stage(INDEPENDENT, tables, iteration=2, variant="votes3")["pairs"]
    assert of_another.pair_id != pair.pair_id


def test_equal_answers_make_no_pair(tables: Tables) -> None:
    judged(tables, "yes", "yes", text="the same")
    judged(tables, "no", "no", text="the same\n")
    made = run_stage(INDEPENDENT, tables)
    assert len(made.items["independent"]) == 1
    assert made["pairs"] == []


def play(request: ChatRequest) -> Sequence[str]:
    """Answers of which some are good, and a judge that knows it."""
    if rounds.role({"messages": list(request.messages)}) == "actor":
        return actor.play(request)
    return as_script(rounds.story)(request)


def test_a_whole_round_pairs_a_passing_with_a_failing_answer() -> None:
    made = run_stages(STAGES, {"prompts": actor.PROMPTS}, play)
    verdicts = {row.response_id: row.verdict for row in made["judgements"]}
    texts = {row.response_id: row.response for row in made["responses"]}
    for pair in made["pairs"]:
        assert verdicts[pair.chosen_response_id] == "yes"
        assert verdicts[pair.rejected_response_id] == "no"
        assert pair.chosen[0].content == texts[pair.chosen_response_id]
        assert pair.rejected[0].content == texts[pair.rejected_response_id]
    found = [pair.prompt_id for pair in made["pairs"]]
    assert sorted(found) == ["p0", "p1", "p2", "p3", "p4"], "all answers to p5 are as bad"
