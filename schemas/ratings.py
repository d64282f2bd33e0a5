"""`ratings`: a row is one rating of a response by the actor itself."""

from __future__ import annotations

from dataclasses import dataclass

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
    {
        "rating_id": "string",
        "response_id": "string",
        "prompt_id": "string",
        "number": "int32",
        "score": "double",
        "critique": "string",
        "model": "string",
        "finish_reason": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
