"""`verifications`: a row is a sampled response with what a prompt's functions say of it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Verification:
    """How many of the kept functions (`verifiers`) accept a response.

    undecided: functions that said neither True nor False of it. pass_rate: accepted of accepted and
    rejected, 0 to 1; None where all are undecided. model: who wrote the functions. checked: as in
    `judgements`.
    """

    response_id: str
    prompt_id: str
    accepted: int
    rejected: int
    undecided: int
    pass_rate: float | None
    model: str
    checked: bool | None = None
    variant: str = MAIN


VERIFICATIONS = Table(
    "verifications",
    Verification,
    {
        "response_id": "string",
        "prompt_id": "string",
        "accepted": "int32",
        "rejected": "int32",
        "undecided": "int32",
        "pass_rate": "double",
        "model": "string",
        "checked": "bool",
        "variant": "string",
    },
    reads=VARIANT,
)
