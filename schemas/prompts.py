"""`prompts`: a row is a prompt of the run."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.table import Table


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt; `position` is its place among the run's prompts, `source` the file and line."""

    prompt_id: str
    prompt: str
    source: str
    position: int


PROMPTS = Table(
    "prompts",
    Prompt,
    pa.schema(
        [
            ("prompt_id", pa.string()),
            ("prompt", pa.string()),
            ("source", pa.string()),
            ("position", pa.int64()),
        ]
    ),
)
