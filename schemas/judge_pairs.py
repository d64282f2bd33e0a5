"""`judge_pairs`: a row is a rating preferred over another one of the same response."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.pairs import Message
from schemas.table import MAIN, MESSAGES, VARIANT, Table


@dataclass(frozen=True, slots=True)
class JudgePair:
    """A pair for whoever rates, in TRL's conversational form, with the names that `pairs` has.

    prompt: what was asked of whoever rated. chosen, rejected: the two texts. elo: of the
    comparisons with the other ratings of the response, 0 on average. score: 0 to 5.
    """

    pair_id: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    prompt_id: str
    response_id: str
    method: str
    similarity: float
    chosen_chars: int
    rejected_chars: int
    chosen_rating_id: str
    rejected_rating_id: str
    chosen_elo: float
    rejected_elo: float
    chosen_score: float
    rejected_score: float
    variant: str = MAIN


JUDGE_PAIRS = Table(
    "judge_pairs",
    JudgePair,
    {
        "pair_id": "string",
        "prompt": MESSAGES,
        "chosen": MESSAGES,
        "rejected": MESSAGES,
        "prompt_id": "string",
        "response_id": "string",
        "method": "string",
        "similarity": "double",
        "chosen_chars": "int32",
        "rejected_chars": "int32",
        "chosen_rating_id": "string",
        "rejected_rating_id": "string",
        "chosen_elo": "double",
        "rejected_elo": "double",
        "chosen_score": "double",
        "rejected_score": "double",
        "variant": "string",
    },
    reads=VARIANT,
)
