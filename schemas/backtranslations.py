"""`backtranslations`: a row is an instruction that was written for a text."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

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
    pa.schema(
        [
            ("backtranslation_id", pa.string()),
            ("seed_id", pa.string()),
            ("instruction", pa.string()),
            ("model", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
