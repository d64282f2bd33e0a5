"""`responses`: a row is an answer sampled from the actor."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.finish_reasons import NOT_WHOLE
from schemas.table import MAIN, VARIANT, Table

WHOLE = f"coalesce(finish_reason, 'stop') not in {NOT_WHOLE} and trim(response) <> ''"
"""SQL of the responses that ended by themselves and say something: all others are kept and counted
(view `left_out_responses`), and are judged by nobody, no side of a pair and no lesson."""


@dataclass(frozen=True, slots=True)
class SamplingRecord:
    """How a text was drawn."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Response:
    """One of the K answers to a prompt.

    The K answers come of one request, so its prompt tokens stand on the first of them and 0 on
    the others: sums are true. Completion tokens are each answer's own where the engine tells
    them, else the request's shared out by length of text and reasoning.

    reasoning: what the model thought before the response, which is without it; None for nothing.
    """

    response_id: str
    prompt_id: str
    response: str
    model: str
    sampling: SamplingRecord
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN
    reasoning: str | None = None


RESPONSES = Table(
    "responses",
    Response,
    {
        "response_id": "string",
        "prompt_id": "string",
        "response": "string",
        "model": "string",
        "sampling": {
            "temperature": "double",
            "top_p": "double",
            "max_tokens": "int32",
            "seed": "int64",
        },
        "finish_reason": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
        "reasoning": "string",
    },
    reads=VARIANT,
)
