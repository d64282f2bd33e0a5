"""`sft_actor`: a row is a prompt with a teacher's answer, to fine-tune a first actor on."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.pairs import Message
from schemas.table import MAIN, MESSAGES, VARIANT, Table


@dataclass(frozen=True, slots=True)
class SftActor:
    """A chat whose last turn the actor should learn to write.

    source: `answer`, the teacher's own, or `repair`, an answer of the actor that it mended.
    teacher: `rules` or a model's name. value: the share of its votes on it that say Yes. checked:
    what the program says, null where the prompt has no checks.
    """

    sft_id: str
    messages: list[Message]
    prompt_id: str
    source: str
    teacher: str
    response_id: str | None = None
    value: float | None = None
    checked: bool | None = None
    variant: str = MAIN


SFT_ACTOR = Table(
    "sft_actor",
    SftActor,
    pa.schema(
        [
            ("sft_id", pa.string()),
            ("messages", MESSAGES),
            ("prompt_id", pa.string()),
            ("source", pa.string()),
            ("teacher", pa.string()),
            ("response_id", pa.string()),
            ("value", pa.float64()),
            ("checked", pa.bool_()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
