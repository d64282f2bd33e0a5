"""`failures`: a row is an item that could not be done, and why."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table

PAYLOAD_CHARS = 4000
"""Payloads are cut to this length: enough to recognise an item, too little to fill a disk."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An item left out.

    stage: where it failed; `prompts` is the reading of the input.
    key: `file:line` for input, else the id of the prompt, response or tree.
    error: the cause in one word, the same word for the same cause (docs/failures.md lists them).
    attempts: how often it was tried.
    payload: the item itself, cut to PAYLOAD_CHARS.
    """

    stage: str
    key: str
    error: str
    message: str
    attempts: int
    payload: str
    variant: str = MAIN


FAILURES = Table(
    "failures",
    Failure,
    {
        "stage": "string",
        "key": "string",
        "error": "string",
        "message": "string",
        "attempts": "int32",
        "payload": "string",
        "variant": "string",
    },
    reads=VARIANT,
)
