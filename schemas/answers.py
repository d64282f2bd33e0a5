"""`answers`: a row is what a decoder answered, to a benchmark's item or to a prompt."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that a decoder chose.

    item_id: of the benchmark's item, of a prompt its prompt_id. benchmark: "" of a prompt.
    decoder: `given` of answers that somebody else made. votes: on each response, 0 where none are
    asked. budget: responses that were allowed; responses: that were made. passed: whether the
    decoder's own judge let it pass; value: the share of its votes that said Yes. model: who
    answered. Tokens are of the whole search, judgements included.
    """

    answer_id: str
    item_id: str
    benchmark: str
    decoder: str
    votes: int
    budget: int
    response: str
    model: str
    responses: int = 1
    passed: bool | None = None
    value: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    variant: str = MAIN


ANSWERS = Table(
    "answers",
    Answer,
    pa.schema(
        [
            ("answer_id", pa.string()),
            ("item_id", pa.string()),
            ("benchmark", pa.string()),
            ("decoder", pa.string()),
            ("votes", pa.int32()),
            ("budget", pa.int32()),
            ("response", pa.string()),
            ("model", pa.string()),
            ("responses", pa.int32()),
            ("passed", pa.bool_()),
            ("value", pa.float64()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
