"""`trees`: a row is a search tree grown from one failing response."""

from __future__ import annotations

from dataclasses import dataclass

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
    {
        "tree_id": "string",
        "prompt_id": "string",
        "root_response_id": "string",
        "strategy": "string",
        "solved": "bool",
        "chosen_node_id": "string",
        "chosen_depth": "int32",
        "chosen_value": "double",
        "refinements": "int32",
        "malformed": "int32",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
