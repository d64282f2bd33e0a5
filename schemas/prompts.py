"""`prompts`: a row is a prompt of the run."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.pairs import Message
from schemas.table import MESSAGES, Table

TRAIN = "train"
"""The split that training data come from; prompts of any other never become any."""
HELD_OUT = "held_out"
"""The split of prompts that are kept for an evaluation of one's own (`--benchmark custom`)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A checker that an answer must pass (docs/checks.md); `kwargs` is a JSON object."""

    id: str
    kwargs: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt; `position` is its place among the run's prompts, `source` the file and line.

    checks: what a program can check of an answer; None where there is nothing.
    checks_complete: whether the checks are all that the prompt asks for, so that a program alone
        can say whether an answer follows it.
    split: what the prompt is for: `train`, or whatever evaluation calls its own.
    extra: a JSON object of the other columns of its row in the file; None where there are none.
    earlier_turns: the turns before the prompt, which is the last one of the user: a system message,
        earlier turns, or both; None where the prompt is all.
    """

    prompt_id: str
    prompt: str
    source: str
    position: int
    checks: list[Check] | None = None
    split: str = TRAIN
    checks_complete: bool = False
    extra: str | None = None
    earlier_turns: list[Message] | None = None


PROMPTS = Table(
    "prompts",
    Prompt,
    {
        "prompt_id": "string",
        "prompt": "string",
        "source": "string",
        "position": "int64",
        "checks": [{"id": "string", "kwargs": "string"}],
        "split": "string",
        "checks_complete": "bool",
        "extra": "string",
        "earlier_turns": MESSAGES,
    },
    reads={
        "split": f"coalesce(split, '{TRAIN}')",
        "checks_complete": "coalesce(checks_complete, false)",
    },
)
