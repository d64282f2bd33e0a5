"""`nodes`: a row is a node of a search tree, the root included."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.judgements import VoteRecord
from schemas.table import MAIN, OUTCOME, VARIANT, VOTES, Table


@dataclass(frozen=True, slots=True)
class Node:
    """A response in a search tree, with what the judge thinks of it.

    The root (depth 0, no parent, empty reflection) is the failing response; every other node is
    a refinement of its parent, of the strategies without a tree too: iterative ones make a chain,
    best-of-N and greedy ones children of the root. `order` numbers the nodes of a tree as they
    were made. Tokens are those spent to refine and to judge this node (0 for the root, which an
    earlier stage judged); the prompt tokens of a refine request stand on the first of the
    siblings it made. `checked`, `checks_met`,
    `outcome` and `asked_again` are as in `judgements`.

    reasoning: what the model thought before it wrote the node's response; None for nothing, and
        for the root, whose reasoning stands in `responses`.
    """

    tree_id: str
    node_id: str
    parent_id: str | None
    prompt_id: str
    depth: int
    order: int
    response: str
    reflection: str
    critique: str
    verdict: str
    value: float | None
    yes_votes: int
    no_votes: int
    unparsed_votes: int
    votes: list[VoteRecord]
    prompt_tokens: int
    completion_tokens: int
    checked: bool | None = None
    variant: str = MAIN
    checks_met: float | None = None
    outcome: str = ""
    asked_again: int = 0
    reasoning: str | None = None


NODES = Table(
    "nodes",
    Node,
    {
        "tree_id": "string",
        "node_id": "string",
        "parent_id": "string",
        "prompt_id": "string",
        "depth": "int32",
        "order": "int32",
        "response": "string",
        "reflection": "string",
        "critique": "string",
        "verdict": "string",
        "value": "double",
        "yes_votes": "int32",
        "no_votes": "int32",
        "unparsed_votes": "int32",
        "votes": VOTES,
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "checked": "bool",
        "variant": "string",
        "checks_met": "double",
        "outcome": "string",
        "asked_again": "int32",
        "reasoning": "string",
    },
    reads=VARIANT | OUTCOME,
)
