"""`sft_refiner`: a row is a judgement or a refinement of a teacher's, for a first refiner."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.pairs import Message
from schemas.table import MAIN, MESSAGES, VARIANT, Table


@dataclass(frozen=True, slots=True)
class SftRefiner:
    """A chat whose last turn the refiner should learn to write.

    task: `judge` or `refine`. label: for a judgement its verdict, Yes or No. source: what is
    judged or refined: `response`, the actor's; `refinement`, the teacher's; `near_miss`, one that
    the teacher left half done; `look_alike`, one mended as another prompt would have it. teacher:
    `rules` or a model's name. value: the share of its votes that say Yes. checked: what the
    program says of the judged or of the refined text. similarity: of a refinement to what it
    refines, as in `pairs`. reasoning: what the teacher thought before the last turn, which is
    without it; None for nothing.
    """

    sft_id: str
    messages: list[Message]
    task: str
    label: str | None
    source: str
    teacher: str
    prompt_id: str
    response_id: str
    value: float | None = None
    checked: bool | None = None
    similarity: float | None = None
    variant: str = MAIN
    reasoning: str | None = None


SFT_REFINER = Table(
    "sft_refiner",
    SftRefiner,
    {
        "sft_id": "string",
        "messages": MESSAGES,
        "task": "string",
        "label": "string",
        "source": "string",
        "teacher": "string",
        "prompt_id": "string",
        "response_id": "string",
        "value": "double",
        "checked": "bool",
        "similarity": "double",
        "variant": "string",
        "reasoning": "string",
    },
    reads=VARIANT,
)

LESSONS = Table("lessons", SftRefiner, SFT_REFINER.columns, SFT_REFINER.reads)
"""All that filters left, before judgements of both verdicts are balanced."""
