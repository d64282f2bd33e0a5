"""`sft_actor`: a row is a prompt with an answer to fine-tune an actor on."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.pairs import Message
from schemas.table import MAIN, MESSAGES, VARIANT, Table

BOOTSTRAP = "bootstrap"
"""The method of what a teacher made for a first actor."""


@dataclass(frozen=True, slots=True)
class SftActor:
    """A chat whose last turn the actor should learn to write.

    source: `answer`, the teacher's own; `response`, an answer of the actor that passed as it was;
    `repair`, one that was mended; `text`, a text that the prompt was written for.
    teacher: `rules` or the name of the model that vouches for it. value: the share of its votes on
    it that say Yes, or its mean rating. checked: what the program says, null where the prompt has
    no checks. method: how it was made (`spar_core.methods`), `bootstrap` by a teacher.
    reasoning: what the model thought before an answer or a response, which is without it; None for
        nothing, and for a repair or a text: nobody thought of the prompt alone before those.
    """

    sft_id: str
    messages: list[Message]
    prompt_id: str
    source: str
    teacher: str
    response_id: str | None = None
    value: float | None = None
    checked: bool | None = None
    method: str = BOOTSTRAP
    variant: str = MAIN
    reasoning: str | None = None


SFT_ACTOR = Table(
    "sft_actor",
    SftActor,
    {
        "sft_id": "string",
        "messages": MESSAGES,
        "prompt_id": "string",
        "source": "string",
        "teacher": "string",
        "response_id": "string",
        "value": "double",
        "checked": "bool",
        "method": "string",
        "variant": "string",
        "reasoning": "string",
    },
    reads=VARIANT | {"method": f"coalesce(method, '{BOOTSTRAP}')"},
)
