"""`battles`: a row is a comparison of two ratings of one response, in one order."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Battle:
    """Which of two ratings the actor, as meta-judge, finds better.

    winner: `first` or `second`, as they were shown; None where the text says neither.
    """

    response_id: str
    prompt_id: str
    first_rating_id: str
    second_rating_id: str
    winner: str | None
    text: str
    model: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


BATTLES = Table(
    "battles",
    Battle,
    pa.schema(
        [
            ("response_id", pa.string()),
            ("prompt_id", pa.string()),
            ("first_rating_id", pa.string()),
            ("second_rating_id", pa.string()),
            ("winner", pa.string()),
            ("text", pa.string()),
            ("model", pa.string()),
            ("finish_reason", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
