"""`backtranslations`: a row is an instruction that was written for a text."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Backtranslation:
    """An instruction that a text, a row of `seeds`, answers.

    model: the backward model that wrote it.
    """

    backtranslation_id: str
    seed_id: str
    instruction: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


BACKTRANSLATIONS = Table(
    "backtranslations",
    Backtranslation,
    {
        "backtranslation_id": "string",
        "seed_id": "string",
        "instruction": "string",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
