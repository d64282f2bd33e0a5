"""`rft`: a row is a fine-tuning sample for the refiner."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.pairs import Message
from schemas.table import MAIN, MESSAGES, SPAR, VARIANT, Table


@dataclass(frozen=True, slots=True)
class RftSample:
    """A chat whose last turn the refiner should learn to write.

    task: `refine` or `judge`. label: for a judgement the majority it agrees with, Yes or No.
    source: `tree_refinement`, `tree_judgement` or `response_judgement`; node_id is set for the
    first two, response_id for the last.
    reasoning: what the refiner thought before the last turn, which is without it; None for
        nothing.
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
    reasoning: str | None = None


RFT = Table(
    "rft",
    RftSample,
    {
        "rft_id": "string",
        "messages": MESSAGES,
        "task": "string",
        "label": "string",
        "source": "string",
        "value": "double",
        "prompt_id": "string",
        "tree_id": "string",
        "node_id": "string",
        "response_id": "string",
        "method": "string",
        "variant": "string",
        "reasoning": "string",
    },
    reads=VARIANT | {"method": f"coalesce(method, '{SPAR}')"},
)
