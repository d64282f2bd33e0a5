"""`nodes`: a row is a node of a search tree, the root included."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.judgements import VoteRecord
from schemas.table import MAIN, VARIANT, VOTES, Table


@dataclass(frozen=True, slots=True)
class Node:
    """A response in a search tree, with what the judge thinks of it.

    The root (depth 0, no parent, empty reflection) is the failing response; every other node is
    a refinement of its parent, of the strategies without a tree too: iterative ones make a chain,
    best-of-N and greedy ones children of the root. `order` numbers the nodes of a tree as they
    were made. Tokens are those spent to refine and to judge this node (0 for the root, which an
    earlier stage judged); the prompt tokens of a refine request stand on the first of the
    siblings it made. `checked` is as in `judgements`.
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


NODES = Table(
    "nodes",
    Node,
    pa.schema(
        [
            ("tree_id", pa.string()),
            ("node_id", pa.string()),
            ("parent_id", pa.string()),
            ("prompt_id", pa.string()),
            ("depth", pa.int32()),
            ("order", pa.int32()),
            ("response", pa.string()),
            ("reflection", pa.string()),
            ("critique", pa.string()),
            ("verdict", pa.string()),
            ("value", pa.float64()),
            ("yes_votes", pa.int32()),
            ("no_votes", pa.int32()),
            ("unparsed_votes", pa.int32()),
            ("votes", VOTES),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("checked", pa.bool_()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
