"""`curations`: a row is how a text was rated as the answer to the instruction written for it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Curation:
    """Ratings of an instruction and its text, 1 to 5 (`spar_core.backtranslation`).

    scores: a rating each, null where the text of it holds none; critiques: these texts. value: the
    mean of the scores, null where no more than half of the ratings can be read. kept: whether the
    pair is learnt.
    """

    backtranslation_id: str
    seed_id: str
    scores: list[float | None]
    critiques: list[str]
    value: float | None
    kept: bool
    model: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


CURATIONS = Table(
    "curations",
    Curation,
    {
        "backtranslation_id": "string",
        "seed_id": "string",
        "scores": ["double"],
        "critiques": ["string"],
        "value": "double",
        "kept": "bool",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
