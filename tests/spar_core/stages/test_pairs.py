"""Pairs: what a solved tree becomes."""

from __future__ import annotations

import pytest

from spar_core.stages.pairs import PAIRS
from spar_core.testing import run_stage
from tests.spar_core.rows import Tables, add, prompts


def node(tables: Tables, tree: str, depth: int, verdict: str, text: str, **more: object) -> None:
    yes = {"yes": 4, "no": 1}[verdict]
    row = {"tree_id": tree, "node_id": f"{tree}.{depth}", "depth": depth, "response": text}
    add(
        tables,
        "nodes",
        **{**row, "verdict": verdict, "value": yes / 5, "yes_votes": yes, "no_votes": 5 - yes},
        **more,
    )


def tree(
    tables: Tables, name: str, prompt: str = "p", *, solved: bool = True, last: str = "good"
) -> None:
    """A chain of a failing root, a refinement that fails and one that passes."""
    add(
        tables,
        "trees",
        tree_id=name,
        prompt_id=prompt,
        root_response_id=f"{name}.root",
        solved=solved,
        chosen_node_id=f"{name}.2",
        refinements=2,
        completion_tokens=77,
    )
    node(tables, name, 0, "no", "bad", checked=False)
    node(tables, name, 1, "no", "better")
    node(tables, name, 2, "yes" if solved else "no", last, checked=True)


@pytest.fixture
def tables() -> Tables:
    return prompts()


def test_the_chosen_refinement_is_over_the_failing_answer(tables: Tables) -> None:
    tree(tables, "t")
    tree(tables, "unsolved", "q", solved=False)
    tree(tables, "other", "elsewhere")
    [pair] = run_stage(PAIRS, tables)["pairs"]
    assert (pair.pair_id, pair.tree_id, pair.method) == ("t.pair", "t", "spar")
    assert pair.prompt_id == "p"
    assert (pair.chosen_node_id, pair.rejected_response_id) == ("t.2", "t.root")
    texts = [(turn.role, turn.content) for turn in (*pair.prompt, *pair.chosen, *pair.rejected)]
    assert texts == [("user", "do p"), ("assistant", "good"), ("assistant", "bad")]
    assert (pair.depth, pair.refinements, pair.tree_tokens) == (2, 2, 77)
    assert (pair.chosen_value, pair.rejected_value) == (0.8, 0.2)
    assert (pair.chosen_yes_votes, pair.chosen_no_votes) == (4, 1)
    assert (pair.rejected_yes_votes, pair.rejected_no_votes) == (1, 4)
    assert (pair.chosen_checked, pair.rejected_checked) == (True, False)
    assert (pair.chosen_chars, pair.rejected_chars) == (4, 3)
    assert 0 <= pair.similarity < 1


def test_every_solved_tree_of_the_scope_makes_one(tables: Tables) -> None:
    tree(tables, "t1")
    tree(tables, "t2", "q")
    assert [row.tree_id for row in run_stage(PAIRS, tables)["pairs"]] == ["t1", "t2"]
    assert [row.tree_id for row in run_stage(PAIRS, tables, scope=["q"])["pairs"]] == ["t2"]


def test_sides_that_say_the_same_make_no_pair(tables: Tables) -> None:
    tree(tables, "t", last="bad\n")
    made = run_stage(PAIRS, tables)
    assert len(made.items["pairs"]) == 1
    assert made["pairs"] == []


def test_a_variant_has_ids_of_its_own(tables: Tables) -> None:
    tree(tables, "t")
    assert run_stage(PAIRS, tables, variant="deep")["pairs"][0].pair_id == "t.deep.pair"
