"""`battles`: a row is a comparison of two ratings of one response, in one order."""

from __future__ import annotations

from dataclasses import dataclass

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
    {
        "response_id": "string",
        "prompt_id": "string",
        "first_rating_id": "string",
        "second_rating_id": "string",
        "winner": "string",
        "text": "string",
        "model": "string",
        "finish_reason": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
