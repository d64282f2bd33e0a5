"""`trees`: a row is a search tree grown from one failing response."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Tree:
    """A finished search: a tree, or what a strategy without one made (`strategy` says which).

    solved: whether the chosen node passed (value over 0.5). Where none did, the chosen node is
    the best found, which may be the root.
    refinements: nodes made, the root not counted. malformed: refinements asked for whose text
    held no refined output. Tokens are of the whole search, malformed answers included.
    """

    tree_id: str
    prompt_id: str
    root_response_id: str
    strategy: str
    solved: bool
    chosen_node_id: str
    chosen_depth: int
    chosen_value: float | None
    refinements: int
    malformed: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


TREES = Table(
    "trees",
    Tree,
    pa.schema(
        [
            ("tree_id", pa.string()),
            ("prompt_id", pa.string()),
            ("root_response_id", pa.string()),
            ("strategy", pa.string()),
            ("solved", pa.bool_()),
            ("chosen_node_id", pa.string()),
            ("chosen_depth", pa.int32()),
            ("chosen_value", pa.float64()),
            ("refinements", pa.int32()),
            ("malformed", pa.int32()),
            ("model", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
