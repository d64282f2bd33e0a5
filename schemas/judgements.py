"""`judgements`: a row is a sampled response with the refiner's verdict on it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import MAIN, VARIANT, VOTES, Table


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """One vote; `vote` is None where the text held no judgement."""

    vote: str | None
    text: str
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict by majority.

    verdict: `yes`, `no`, `tie`, or `no_quorum` where too few votes could be read.
    value: share of Yes among the votes that could be read, 0 to 1; None without any.
    critique: the text of a vote that agrees with the verdict.
    checked: whether the response passes the prompt's checks; None without any, or where one could
        not be run.
    """

    response_id: str
    prompt_id: str
    verdict: str
    value: float | None
    yes_votes: int
    no_votes: int
    unparsed_votes: int
    critique: str
    votes: list[VoteRecord]
    model: str
    prompt_tokens: int
    completion_tokens: int
    checked: bool | None = None
    variant: str = MAIN


JUDGEMENTS = Table(
    "judgements",
    Judgement,
    pa.schema(
        [
            ("response_id", pa.string()),
            ("prompt_id", pa.string()),
            ("verdict", pa.string()),
            ("value", pa.float64()),
            ("yes_votes", pa.int32()),
            ("no_votes", pa.int32()),
            ("unparsed_votes", pa.int32()),
            ("critique", pa.string()),
            ("votes", VOTES),
            ("model", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("checked", pa.bool_()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
