"""Rows from what the algorithm found, and ids that follow from position."""

from __future__ import annotations

from dataclasses import asdict, replace

import pyarrow as pa
import pytest

from schemas import TABLES
from spar_core.records import judged_of_row, judgement_row, node_rows, tree_row, vote_records
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import Ballot, Judged, count

SPLIT = replace(
    count([Ballot("No", "n"), Ballot(None, "", "length"), Ballot("Yes", "ÿ\n")], quorum=1),
    prompt_tokens=7,
    completion_tokens=9,
)
PASSED = replace(count([Ballot("Yes", "good")] * 3, 3), prompt_tokens=1, completion_tokens=2)


def tree() -> SearchTree:
    nodes = [
        TreeNode((), 0, "root", "", SPLIT),
        TreeNode((0,), 1, "a", "why a", SPLIT, 10, 20),
        TreeNode((0, 2), 2, "b", "why b", PASSED, 0, 30),
    ]
    return SearchTree(nodes, 1, 100, 1000, solution=nodes[2])


@pytest.mark.parametrize("judged", [SPLIT, PASSED, count([], 3), count([Ballot(None, "?")], 1)])
def test_judgement_is_read_back_from_its_row_without_its_cost(judged: Judged) -> None:
    row = judgement_row("r1", "p1", judged, "m")
    [stored] = TABLES["judgements"].to_arrow([row]).to_pylist()
    assert stored == asdict(row)
    assert judged_of_row(stored) == replace(judged, prompt_tokens=0, completion_tokens=0)


def test_judgement_row_counts_its_votes_and_bears_its_tokens() -> None:
    row = judgement_row("r1", "p1", SPLIT, "m")
    assert (row.yes_votes, row.no_votes, row.unparsed_votes) == (1, 1, 1)
    assert (row.response_id, row.prompt_id, row.model) == ("r1", "p1", "m")
    assert (row.verdict, row.value, row.prompt_tokens, row.completion_tokens) == ("tie", 0.5, 7, 9)
    assert [vote.vote for vote in row.votes] == ["No", None, "Yes"]
    assert row.votes[1].finish_reason == "length"
    assert row.votes == vote_records(SPLIT)


def test_node_rows_name_their_parents_in_the_order_made() -> None:
    rows = node_rows("t", "p1", tree())
    assert [(r.node_id, r.parent_id, r.depth, r.order) for r in rows] == [
        ("t.root", None, 0, 0),
        ("t.0", "t.root", 1, 1),
        ("t.0.2", "t.0", 2, 2),
    ]
    assert {row.tree_id for row in rows} == {"t"} and {row.prompt_id for row in rows} == {"p1"}
    assert [row.reflection for row in rows] == ["", "why a", "why b"]


def test_root_row_costs_nothing_and_sums_are_true() -> None:
    grown = tree()
    rows = node_rows("t", "p1", grown)
    assert [row.prompt_tokens for row in rows] == [0, 17, 1]
    assert [row.completion_tokens for row in rows] == [0, 29, 32]
    whole = tree_row("t", "p1", "r1", grown, "bfs", "m")
    assert whole.prompt_tokens == 18 + 100 == sum(r.prompt_tokens for r in rows) + 100
    assert whole.completion_tokens == 61 + 1000


def test_answers_of_a_tree_without_a_given_root_have_ids_and_costs_of_their_own() -> None:
    nodes = [
        TreeNode((), 0, "a", "", replace(SPLIT, prompt_tokens=1, completion_tokens=2), 10, 20),
        TreeNode((), 1, "b", "", PASSED, 0, 30, answer=1),
    ]
    grown = SearchTree(nodes, solution=nodes[1], is_rooted=False)
    rows = node_rows("t", "p1", grown)
    assert [(r.node_id, r.parent_id, r.depth) for r in rows] == [
        ("t.root", None, 0),
        ("t.root.1", None, 0),
    ]
    assert [(r.prompt_tokens, r.completion_tokens) for r in rows] == [(11, 22), (1, 32)]
    row = tree_row("t", "p1", "r1", grown, "best_of_n", "m")
    assert (row.solved, row.chosen_node_id, row.chosen_depth) == (True, "t.root.1", 0)
    assert (row.refinements, row.prompt_tokens, row.completion_tokens) == (0, 12, 54)


def test_tree_row_names_the_chosen_node() -> None:
    row = tree_row("t", "p1", "r1", tree(), "dfs", "m")
    assert (row.solved, row.chosen_node_id, row.chosen_depth) == (True, "t.0.2", 2)
    assert (row.chosen_value, row.refinements, row.malformed, row.strategy) == (1.0, 2, 1, "dfs")


def test_unsolved_tree_may_choose_its_root() -> None:
    row = tree_row("t", "p1", "r1", SearchTree(tree().nodes[:1]), "bfs", "m")
    assert (row.solved, row.chosen_node_id, row.chosen_depth) == (False, "t.root", 0)
    assert row.chosen_node_id in {n.node_id for n in node_rows("t", "p1", tree())}


def test_rows_of_a_tree_fit_their_tables() -> None:
    nodes = TABLES["nodes"].to_arrow(node_rows("t", "p1", tree()))
    assert nodes.num_rows == 3 and nodes.column("votes").type == TABLES["nodes"].schema[14].type
    row = tree_row("t", "p1", "r1", tree(), "bfs", "m")
    assert isinstance(TABLES["trees"].to_arrow([row]), pa.Table)


def test_rows_say_what_a_check_found() -> None:
    plain = judgement_row("r1", "p1", SPLIT, "m")
    assert (plain.checked, plain.checks_met, plain.outcome) == (None, None, SPLIT.verdict)
    denied = replace(SPLIT, checked=False, checks_met=0.5, outcome="no")
    row = judgement_row("r1", "p1", denied, "m")
    assert (row.checked, row.checks_met, row.outcome) == (False, 0.5, "no")
    assert row.verdict == SPLIT.verdict, "the judge's own word stays"
    grown = tree()
    grown.nodes[1] = replace(grown.nodes[1], judged=denied)
    rows = node_rows("t", "p1", grown)
    assert [row.checked for row in rows] == [None, False, None]
    assert [row.checks_met for row in rows] == [None, 0.5, None]
    assert [row.outcome for row in rows] == [rows[0].verdict, "no", rows[2].verdict]


def test_judgement_by_a_program_names_no_model_and_reads_back() -> None:
    said = Judged((), "no", 0.0, "why", checked=False, checks_met=0.5, by_program=True)
    row = judgement_row("r1", "p1", said, "m")
    assert (row.model, row.votes, row.value) == ("program", [], 0.0)
    assert judged_of_row(TABLES["judgements"].plain(row)) == said
