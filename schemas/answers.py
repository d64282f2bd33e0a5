"""`answers`: a row is what a decoder answered, to a benchmark's item or to a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that a decoder chose.

    item_id: of the benchmark's item, of a prompt its prompt_id. benchmark: "" of a prompt.
    response: of a conversation (multiif) the answers to all turns, a JSON list of texts.
    decoder: `given` of answers that somebody else made. votes: on each response, 0 where none are
    asked. budget: responses that were allowed; responses: that were written, refinements that could
    not be read among them (not in runs begun before these counted). passed: whether the decoder's
    own judge let it pass; value: the share of its votes that said Yes. model: who answered. Tokens
    are of the whole search, judgements included.
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
    {
        "answer_id": "string",
        "item_id": "string",
        "benchmark": "string",
        "decoder": "string",
        "votes": "int32",
        "budget": "int32",
        "response": "string",
        "model": "string",
        "responses": "int32",
        "passed": "bool",
        "value": "double",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
