"""`pairs`: a row is a preference pair in TRL's conversational form."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, MESSAGES, SPAR, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer preferred over another one to the same prompt.

    similarity: of the two texts, 0 to 1 (1 - insertions and deletions over the summed length,
    the ratio of rapidfuzz). depth: refinements between the two. Lengths are in characters.
    tree_tokens: completion tokens of the search that made the pair. Checked: as in `judgements`.
    Values, 0 to 1: the share of Yes, or of the functions that pass an answer (autoif); where the
    actor rates its own answers the mean of its ratings, 0 to 5.
    method: how the pair was made (`spar_core.methods`). What a method has no use for is null: a
    pair of two sampled responses has no tree, node or depth, a refined one no chosen response.
    chosen_reasoning: what the actor thought before a chosen response that it sampled; None for
        nothing, and for a refinement: what the refiner thought is about its own task.
    """

    pair_id: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    prompt_id: str
    rejected_response_id: str
    method: str
    similarity: float
    chosen_chars: int
    rejected_chars: int
    tree_id: str | None = None
    chosen_node_id: str | None = None
    depth: int | None = None
    chosen_value: float | None = None
    rejected_value: float | None = None
    chosen_yes_votes: int | None = None
    chosen_no_votes: int | None = None
    rejected_yes_votes: int | None = None
    rejected_no_votes: int | None = None
    refinements: int | None = None
    tree_tokens: int | None = None
    chosen_checked: bool | None = None
    rejected_checked: bool | None = None
    chosen_response_id: str | None = None
    variant: str = MAIN
    chosen_reasoning: str | None = None


PAIRS = Table(
    "pairs",
    Pair,
    {
        "pair_id": "string",
        "prompt": MESSAGES,
        "chosen": MESSAGES,
        "rejected": MESSAGES,
        "prompt_id": "string",
        "rejected_response_id": "string",
        "method": "string",
        "similarity": "double",
        "chosen_chars": "int32",
        "rejected_chars": "int32",
        "tree_id": "string",
        "chosen_node_id": "string",
        "depth": "int32",
        "chosen_value": "double",
        "rejected_value": "double",
        "chosen_yes_votes": "int32",
        "chosen_no_votes": "int32",
        "rejected_yes_votes": "int32",
        "rejected_no_votes": "int32",
        "refinements": "int32",
        "tree_tokens": "int64",
        "chosen_checked": "bool",
        "rejected_checked": "bool",
        "chosen_response_id": "string",
        "variant": "string",
        "chosen_reasoning": "string",
    },
    reads=VARIANT | {"method": f"replace(method, 'refined', '{SPAR}')"},
)
