"""`curations`: a row is how a text was rated as the answer to the instruction written for it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

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
    pa.schema(
        [
            ("backtranslation_id", pa.string()),
            ("seed_id", pa.string()),
            ("scores", pa.list_(pa.float64())),
            ("critiques", pa.list_(pa.string())),
            ("value", pa.float64()),
            ("kept", pa.bool_()),
            ("model", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
