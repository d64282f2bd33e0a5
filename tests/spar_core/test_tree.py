"""Trees: scores, the chosen node, and sums of tokens."""

from __future__ import annotations

import pytest

from spar_core.tree import SearchTree, TreeNode
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
        ("no_quorum", 1.0, 0.0),
        ("no_quorum", None, 0.0),
    ],
)
def test_score_is_the_value_where_there_is_a_quorum(
    verdict: Verdict, value: float | None, score: float
) -> None:
    assert node((), 0, value, verdict).score == score


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
