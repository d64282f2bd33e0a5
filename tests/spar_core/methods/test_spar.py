"""SPaR: a whole round in memory, and how its tables hang together."""

from __future__ import annotations

from collections import Counter

import pytest

from spar_core.conversation import read_refinement, read_vote
from spar_core.methods.spar import STAGES
from spar_core.testing import Made, run_stages
from tests.loopback import as_script
from tests.pipelines import rounds

PROMPTS = [{"prompt_id": f"p{n}", "prompt": text} for n, text in enumerate(rounds.PROMPTS)]


@pytest.fixture(scope="module")
def whole() -> Made:
    """A whole round; for reading only."""
    return run_stages(STAGES, {"prompts": PROMPTS}, as_script(rounds.story))


def test_every_response_is_judged_once(whole: Made) -> None:
    responses = [row.response_id for row in whole["responses"]]
    assert len(responses) == len({*responses}) == 5 * len(PROMPTS)
    assert sorted(row.response_id for row in whole["judgements"]) == sorted(responses)


def test_every_prompt_that_was_answered_badly_has_one_tree(whole: Made) -> None:
    failing = {row.response_id for row in whole["judgements"] if row.verdict == "no"}
    of_prompt = {row.response_id: row.prompt_id for row in whole["judgements"]}
    assert Counter(row.prompt_id for row in whole["trees"]) == dict.fromkeys(
        {of_prompt[name] for name in failing}, 1
    )
    assert {row.root_response_id for row in whole["trees"]} <= failing
    for tree in whole["trees"]:
        nodes = [row for row in whole["nodes"] if row.tree_id == tree.tree_id]
        assert len(nodes) == tree.refinements + 1 <= 16
        assert max(row.depth for row in nodes) <= 3
        by_name = {row.node_id: row for row in nodes}
        for row in nodes[1:]:
            parent = by_name[row.parent_id]
            assert (parent.depth, parent.order < row.order) == (row.depth - 1, True)
        assert max(Counter(row.parent_id for row in nodes).values(), default=0) <= 3


def test_every_solved_tree_is_a_pair_of_its_chosen_node_and_its_root(whole: Made) -> None:
    solved = {row.tree_id: row for row in whole["trees"] if row.solved}
    nodes = {row.node_id: row for row in whole["nodes"]}
    texts = {row.response_id: row.response for row in whole["responses"]}
    assert {pair.tree_id for pair in whole["pairs"]} == solved.keys() != set()
    assert len(solved) < len(whole["trees"]), "hopeless ones are not"
    for pair in whole["pairs"]:
        tree, chosen = solved[pair.tree_id], nodes[pair.chosen_node_id]
        assert pair.chosen_node_id == tree.chosen_node_id
        assert (pair.chosen_value, chosen.value > 0.5) == (chosen.value, True)
        assert pair.chosen[0].content == chosen.response
        assert pair.rejected[0].content == texts[tree.root_response_id]


def test_rft_samples_are_chats_of_judge_and_refiner(whole: Made) -> None:
    kinds = Counter((row.task, row.source) for row in whole["rft"])
    assert kinds.keys() == {
        ("refine", "tree_refinement"),
        ("judge", "tree_judgement"),
        ("judge", "response_judgement"),
    }
    assert len({row.rft_id for row in whole["rft"]}) == len(whole["rft"])
    for row in whole["rft"]:
        last = row.messages[-1].content
        if row.task == "judge":
            assert read_vote(last) == row.label
        else:
            assert read_refinement(last) is not None
