"""`scores`: a row is what was found of one constraint of an answer, or of all of it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Score:
    """What was found of an item's answer.

    metric: the way of looking (`strict`, `loose`, `met`, `judged`, `program`, ...). number: which
    of the item's constraints, from 0; constraint: its kind. Both are null where it is about the
    whole answer. value: 1 where it is met, 0 where it is not, null where it could not be decided;
    `critique` says why or what the judge said. scorer: `program`, or the judge's model.
    """

    item_id: str
    benchmark: str
    metric: str
    value: float | None
    scorer: str
    number: int | None = None
    constraint: str | None = None
    answer_id: str | None = None
    critique: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    variant: str = MAIN


SCORES = Table(
    "scores",
    Score,
    {
        "item_id": "string",
        "benchmark": "string",
        "metric": "string",
        "value": "double",
        "scorer": "string",
        "number": "int32",
        "constraint": "string",
        "answer_id": "string",
        "critique": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
