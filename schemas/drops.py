"""`drops`: a row is something that a filter of a stage took out, and why."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Drop:
    """What was taken out: no failure, but of no use as training data or as a prompt.

    stage: whose filter it was. key: of the item, an evolution's or a response's id.
    what: `prompt`, `answer`, `judgement` or `refinement`. cause: one word, the same for the same
    cause (docs/evolve.md and docs/bootstrap.md list them). near: what it is too much like.
    """

    stage: str
    key: str
    what: str
    cause: str
    message: str = ""
    near: str | None = None
    prompt_id: str | None = None
    variant: str = MAIN


DROPS = Table(
    "drops",
    Drop,
    {
        "stage": "string",
        "key": "string",
        "what": "string",
        "cause": "string",
        "message": "string",
        "near": "string",
        "prompt_id": "string",
        "variant": "string",
    },
    reads=VARIANT,
)
