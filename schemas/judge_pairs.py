"""`judge_pairs`: a row is a rating preferred over another one of the same response."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

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
    pa.schema(
        [
            ("pair_id", pa.string()),
            ("prompt", MESSAGES),
            ("chosen", MESSAGES),
            ("rejected", MESSAGES),
            ("prompt_id", pa.string()),
            ("response_id", pa.string()),
            ("method", pa.string()),
            ("similarity", pa.float64()),
            ("chosen_chars", pa.int32()),
            ("rejected_chars", pa.int32()),
            ("chosen_rating_id", pa.string()),
            ("rejected_rating_id", pa.string()),
            ("chosen_elo", pa.float64()),
            ("rejected_elo", pa.float64()),
            ("chosen_score", pa.float64()),
            ("rejected_score", pa.float64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
