"""`evolutions`: a row is what became of a seed: the prompt written for it, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from schemas.prompts import TRAIN, Check
from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Evolution:
    """The lineage of a prompt.

    writer: `rules`, or the model that wrote it. main, further: kinds of constraints, the main one
    and those beside it; refused: main ones that were drawn before and contradict the seed.
    constraints: as the prompt says them, length last.
    prompt: null where none was written. prompt_id: of its row in `prompts`, null where it was
    dropped. checks: as in `prompts`.
    verdict: of the writer on its own prompt, `consistent` or `contradictory`; null where it gave
    none.
    dropped: the cause in one word, null for what is kept (docs/evolve.md lists them). why: it in
    words. near: what it is too much like: a seed's id or a benchmark's file.
    signature, bands: of the prompt, as in `seeds`.
    """

    evolution_id: str
    seed_id: str
    seed: str
    writer: str
    main: str | None = None
    further: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    prompt: str | None = None
    prompt_id: str | None = None
    checks: list[Check] | None = None
    verdict: str | None = None
    dropped: str | None = None
    why: str | None = None
    near: str | None = None
    position: int = 0
    split: str = TRAIN
    signature: list[int] = field(default_factory=list)
    bands: list[int] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    variant: str = MAIN


EVOLUTIONS = Table(
    "evolutions",
    Evolution,
    pa.schema(
        [
            ("evolution_id", pa.string()),
            ("seed_id", pa.string()),
            ("seed", pa.string()),
            ("writer", pa.string()),
            ("main", pa.string()),
            ("further", pa.list_(pa.string())),
            ("refused", pa.list_(pa.string())),
            ("constraints", pa.list_(pa.string())),
            ("prompt", pa.string()),
            ("prompt_id", pa.string()),
            ("checks", pa.list_(pa.struct([("id", pa.string()), ("kwargs", pa.string())]))),
            ("verdict", pa.string()),
            ("dropped", pa.string()),
            ("why", pa.string()),
            ("near", pa.string()),
            ("position", pa.int64()),
            ("split", pa.string()),
            ("signature", pa.list_(pa.int64())),
            ("bands", pa.list_(pa.int64())),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)

DRAFTS = Table("drafts", Evolution, EVOLUTIONS.schema, EVOLUTIONS.reads)
"""Evolutions as their writer left them: near duplicates among the prompts are still there."""
