"""Trees: scores, the chosen node, and sums of tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spar_core.tree import SearchTree, TreeNode, ranked
from spar_core.voting import Judged, Verdict

Path = tuple[int, ...]


def node(path: Path, order: int, value: float | None, verdict: Verdict = "no") -> TreeNode:
    """A node that cost 10 + 1 prompt tokens and 100 + 2 completion tokens."""
    judged = Judged((), verdict, value, "", prompt_tokens=1, completion_tokens=2)
    return TreeNode(path, order, f"r{order}", "", judged, 10, 100)


@pytest.mark.parametrize(
    ("verdict", "value", "score"),
    [
        ("yes", 0.8, 0.8),
        ("no", 0.4, 0.4),
        ("tie", 0.5, 0.5),
        ("no_quorum", 1.0, 1.0),
        ("no_quorum", 0.5, 0.5),
        ("no_quorum", None, 0.0),
        ("unjudged", None, 0.0),
    ],
)
def test_score_is_the_value_of_the_votes_that_were_read(
    verdict: Verdict, value: float | None, score: float
) -> None:
    assert node((), 0, value, verdict).score == score


def test_what_passes_is_ranked_before_what_has_no_verdict_then_by_value_then_as_made() -> None:
    nodes = [
        node((0,), 1, 1.0, "no_quorum"),
        node((1,), 2, 0.6, "yes"),
        node((2,), 3, None, "unjudged"),
        node((3,), 4, 0.8, "yes"),
        node((4,), 5, 0.8, "yes"),
        node((5,), 6, 0.4),
    ]
    assert [n.order for n in ranked(nodes[::-1])] == [4, 5, 2, 1, 6, 3]


def test_tree_is_settled_by_the_best_that_passes() -> None:
    tree = SearchTree([node((), 0, 0.0), node((0,), 1, 1.0, "no_quorum"), node((1,), 2, 0.4)])
    assert not tree.settle(tree.nodes) and not tree.settle([]) and tree.solution is None
    passing = [node((2,), 3, 0.6, "yes"), node((3,), 4, 0.8, "yes")]
    assert tree.settle([*tree.nodes, *passing]) and tree.solution is passing[1]


def test_depth_is_the_length_of_the_path() -> None:
    assert [node(path, 0, 0.0).depth for path in ((), (2,), (0, 1, 2))] == [0, 1, 3]


def test_best_node_is_chosen_and_of_equals_the_first() -> None:
    nodes = [node((), 0, 0.2), node((0,), 1, 0.4), node((1,), 2, 0.4), node((2,), 3, 0.0)]
    assert SearchTree(nodes).chosen is nodes[1]
    assert SearchTree(nodes[:1]).chosen is nodes[0]


def test_solution_is_chosen_over_better_scores() -> None:
    nodes = [node((), 0, 0.2), node((0,), 1, 0.9, "yes"), node((1,), 2, 0.6, "yes")]
    assert SearchTree(nodes, solution=nodes[2]).chosen is nodes[2]


def test_tokens_leave_out_the_root_and_count_the_malformed() -> None:
    tree = SearchTree([node((), 0, 0.2), node((0,), 1, 0.4), node((1,), 2, 0.4)], 1, 1000, 5000)
    assert tree.refinements == 2
    assert tree.prompt_tokens == 2 * 11 + 1000
    assert tree.completion_tokens == 2 * 102 + 5000


def test_tree_that_began_with_answers_bears_their_tokens() -> None:
    nodes = [node((), 0, 0.2), node((0,), 1, 0.4)]
    tree = SearchTree(nodes, is_rooted=False)
    assert (tree.given, tree.made, tree.refinements) == ([], 2, 1)
    assert (tree.prompt_tokens, tree.completion_tokens) == (2 * 11, 2 * 102)
    rooted = SearchTree(nodes)
    assert (rooted.given, rooted.made, rooted.refinements) == (nodes[:1], 1, 1)
    assert (rooted.written, replace(rooted, malformed=2).written) == (1, 3)
