"""`prompts`: a row is a prompt of the run."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import Table

TRAIN = "train"
"""The split that training data come from; prompts of any other never become any."""


@dataclass(frozen=True, slots=True)
class Check:
    """A checker that an answer must pass (docs/checks.md); `kwargs` is a JSON object."""

    id: str
    kwargs: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt; `position` is its place among the run's prompts, `source` the file and line.

    checks: what a program can check of an answer; None where there is nothing.
    split: what the prompt is for: `train`, or whatever evaluation calls its own.
    """

    prompt_id: str
    prompt: str
    source: str
    position: int
    checks: list[Check] | None = None
    split: str = TRAIN


PROMPTS = Table(
    "prompts",
    Prompt,
    pa.schema(
        [
            ("prompt_id", pa.string()),
            ("prompt", pa.string()),
            ("source", pa.string()),
            ("position", pa.int64()),
            ("checks", pa.list_(pa.struct([("id", pa.string()), ("kwargs", pa.string())]))),
            ("split", pa.string()),
        ]
    ),
    reads={"split": f"coalesce(split, '{TRAIN}')"},
)
