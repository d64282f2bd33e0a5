"""`relevances`: a row is how relevant to its prompt an answer is that programs accept."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Relevance:
    """Scores of a response, 1 to 10 (`spar_core.verification.relevance`); equal ones have one row.

    scores: one each, null where the text of it holds none; texts: what was said. value: the mean
    of the scores, null where no more than half of them can be read. is_relevant: whether the
    response may be chosen and learnt. model: who gave the scores.
    """

    response_id: str
    prompt_id: str
    scores: list[float | None]
    texts: list[str]
    value: float | None
    is_relevant: bool
    model: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


RELEVANCES = Table(
    "relevances",
    Relevance,
    {
        "response_id": "string",
        "prompt_id": "string",
        "scores": ["double"],
        "texts": ["string"],
        "value": "double",
        "is_relevant": "bool",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
