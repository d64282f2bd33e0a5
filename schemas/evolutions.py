"""`evolutions`: a row is what became of a seed: the prompt written for it, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    words. near: what it is too much like: a seed's id or a benchmark's file and row.
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
    {
        "evolution_id": "string",
        "seed_id": "string",
        "seed": "string",
        "writer": "string",
        "main": "string",
        "further": ["string"],
        "refused": ["string"],
        "constraints": ["string"],
        "prompt": "string",
        "prompt_id": "string",
        "checks": [{"id": "string", "kwargs": "string"}],
        "verdict": "string",
        "dropped": "string",
        "why": "string",
        "near": "string",
        "position": "int64",
        "split": "string",
        "signature": ["int64"],
        "bands": ["int64"],
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)

DRAFTS = Table("drafts", Evolution, EVOLUTIONS.columns, EVOLUTIONS.reads)
"""Evolutions as their writer left them: near duplicates among the prompts are still there."""
