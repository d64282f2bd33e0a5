"""`responses`: a row is an answer sampled from the actor."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import MAIN, VARIANT, Table


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
    them, else the request's shared out by length of text.
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


RESPONSES = Table(
    "responses",
    Response,
    pa.schema(
        [
            ("response_id", pa.string()),
            ("prompt_id", pa.string()),
            ("response", pa.string()),
            ("model", pa.string()),
            (
                "sampling",
                pa.struct(
                    [
                        ("temperature", pa.float64()),
                        ("top_p", pa.float64()),
                        ("max_tokens", pa.int32()),
                        ("seed", pa.int64()),
                    ]
                ),
            ),
            ("finish_reason", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
