"""Rows of the tables from what the algorithm found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.judgements import Judgement, VoteRecord
from schemas.nodes import Node
from schemas.trees import Tree
from spar_core.checked_judging import PROGRAM
from spar_core.ids import node_id
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import Ballot, Judged, Verdict


def vote_records(judged: Judged) -> list[VoteRecord]:
    return [
        VoteRecord(b.vote, b.text, b.finish_reason, b.reasoning or None) for b in judged.ballots
    ]


def judgement_row(response_id: str, prompt_id: str, judged: Judged, model: str) -> Judgement:
    return Judgement(
        response_id=response_id,
        prompt_id=prompt_id,
        verdict=judged.verdict,
        value=judged.value,
        yes_votes=judged.yes_votes,
        no_votes=judged.no_votes,
        unparsed_votes=judged.unparsed_votes,
        critique=judged.critique,
        votes=vote_records(judged),
        model=PROGRAM if judged.by_program else model,
        prompt_tokens=judged.prompt_tokens,
        completion_tokens=judged.completion_tokens,
        checked=judged.checked,
        checks_met=judged.checks_met,
        outcome=judged.settled,
        asked_again=judged.asked_again,
    )


def judged_of_row(row: Mapping[str, Any]) -> Judged:
    """A judgement read back; what it cost was counted where it was made."""
    ballots = tuple(
        Ballot(v["vote"], v["text"], v["finish_reason"], v.get("reasoning") or "")
        for v in row["votes"]
    )
    verdict: Verdict = row["verdict"]
    return Judged(
        ballots,
        verdict,
        row["value"],
        row["critique"],
        outcome=None if row["outcome"] == verdict else row["outcome"],
        checked=row["checked"],
        checks_met=row["checks_met"],
        asked_again=row["asked_again"] or 0,
        by_program=row["verdict"] in ("yes", "no") and not ballots,
    )


def node_rows(tree: str, prompt_id: str, grown: SearchTree) -> list[Node]:
    """Rows of all nodes of a tree."""
    return [_node_row(tree, prompt_id, node, is_given=node in grown.given) for node in grown.nodes]


def _node_row(tree: str, prompt_id: str, node: TreeNode, *, is_given: bool) -> Node:
    judged = node.judged
    return Node(
        tree_id=tree,
        node_id=node_id(tree, node.path, node.answer),
        parent_id=node_id(tree, node.path[:-1]) if node.path else None,
        prompt_id=prompt_id,
        depth=node.depth,
        order=node.order,
        response=node.response,
        reflection=node.reflection,
        critique=judged.critique,
        verdict=judged.verdict,
        value=judged.value,
        yes_votes=judged.yes_votes,
        no_votes=judged.no_votes,
        unparsed_votes=judged.unparsed_votes,
        votes=vote_records(judged),
        prompt_tokens=0 if is_given else node.prompt_tokens + judged.prompt_tokens,
        completion_tokens=0 if is_given else node.completion_tokens + judged.completion_tokens,
        checked=judged.checked,
        checks_met=judged.checks_met,
        outcome=judged.settled,
        asked_again=judged.asked_again,
        reasoning=node.reasoning or None,
    )


def tree_row(
    tree: str, prompt_id: str, root_response_id: str, grown: SearchTree, strategy: str, model: str
) -> Tree:
    chosen = grown.chosen
    return Tree(
        tree_id=tree,
        prompt_id=prompt_id,
        root_response_id=root_response_id,
        strategy=strategy,
        solved=grown.solution is not None,
        chosen_node_id=node_id(tree, chosen.path, chosen.answer),
        chosen_depth=chosen.depth,
        chosen_value=chosen.judged.value,
        refinements=grown.refinements,
        malformed=grown.malformed,
        model=model,
        prompt_tokens=grown.prompt_tokens,
        completion_tokens=grown.completion_tokens,
    )
