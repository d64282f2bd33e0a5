"""`verifiers`: a row is a function that a model wrote to check answers to a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, and what a function should say of it; `agreed`: whether it is a test, as more
    than half of the prompt's functions that run say the same.
    """

    response: str
    expected: bool
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class Verifier:
    """A function `evaluate(response: str) -> bool`, and what became of it.

    cases: those that were written with it. outcome: what the sandbox said of it on the cases of all
    the prompt's functions: `ran`, `failed`, `limit`, `unsupported`; None where it was not run.
    answered: cases that it said True or False of. tests: cases that most functions agree on.
    translation: what it checks, in the model's words; relation: of that to the prompt,
    `entailment`, `neutral` or `contradiction`.
    dropped: why it is not used (docs/autoif.md); None where it is. why: that in a line.
    """

    verifier_id: str
    prompt_id: str
    code: str
    cases: list[Case]
    outcome: str | None
    answered: int
    tests: int
    tests_passed: int
    translation: str | None
    relation: str | None
    dropped: str | None
    why: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    variant: str = MAIN


VERIFIERS = Table(
    "verifiers",
    Verifier,
    {
        "verifier_id": "string",
        "prompt_id": "string",
        "code": "string",
        "cases": [{"response": "string", "expected": "bool", "agreed": "bool"}],
        "outcome": "string",
        "answered": "int32",
        "tests": "int32",
        "tests_passed": "int32",
        "translation": "string",
        "relation": "string",
        "dropped": "string",
        "why": "string",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "variant": "string",
    },
    reads=VARIANT,
)
