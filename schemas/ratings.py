"""`ratings`: a row is one rating of a response by the actor itself."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Rating:
    """One of several ratings of a response by a rubric (`spar_core.rating`).

    number: among the ratings of the response, from 0. score: 0 to 5; None where the text holds
    none. critique: the whole text. Tokens of the prompt stand on the first of a response's.
    """

    rating_id: str
    response_id: str
    prompt_id: str
    number: int
    score: float | None
    critique: str
    model: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


RATINGS = Table(
    "ratings",
    Rating,
    pa.schema(
        [
            ("rating_id", pa.string()),
            ("response_id", pa.string()),
            ("prompt_id", pa.string()),
            ("number", pa.int32()),
            ("score", pa.float64()),
            ("critique", pa.string()),
            ("model", pa.string()),
            ("finish_reason", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
