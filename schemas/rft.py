"""`rft`: a row is a fine-tuning sample for the refiner."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.pairs import Message
from schemas.table import MAIN, MESSAGES, SPAR, VARIANT, Table


@dataclass(frozen=True, slots=True)
class RftSample:
    """A chat whose last turn the refiner should learn to write.

    task: `refine` or `judge`. label: for a judgement the majority it agrees with, Yes or No.
    source: `tree_refinement`, `tree_judgement` or `response_judgement`; node_id is set for the
    first two, response_id for the last.
    """

    rft_id: str
    messages: list[Message]
    task: str
    label: str | None
    source: str
    value: float
    prompt_id: str
    tree_id: str | None
    node_id: str | None
    response_id: str | None
    method: str = SPAR
    variant: str = MAIN


RFT = Table(
    "rft",
    RftSample,
    pa.schema(
        [
            ("rft_id", pa.string()),
            ("messages", MESSAGES),
            ("task", pa.string()),
            ("label", pa.string()),
            ("source", pa.string()),
            ("value", pa.float64()),
            ("prompt_id", pa.string()),
            ("tree_id", pa.string()),
            ("node_id", pa.string()),
            ("response_id", pa.string()),
            ("method", pa.string()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT | {"method": f"coalesce(method, '{SPAR}')"},
)
