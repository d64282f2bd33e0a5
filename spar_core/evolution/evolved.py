"""What a writer made of a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.prompts import Check


@dataclass(frozen=True, slots=True)
class Evolved:
    """A prompt written for a seed, or why there is none; the columns are those of `evolutions`."""

    main: str | None = None
    further: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    prompt: str | None = None
    checks: tuple[Check, ...] = field(default=())
    verdict: str | None = None
    dropped: str | None = None
    why: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
