"""`verifiers`: a row is a function that a model wrote to check answers to a prompt."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

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
    pa.schema(
        [
            ("verifier_id", pa.string()),
            ("prompt_id", pa.string()),
            ("code", pa.string()),
            (
                "cases",
                pa.list_(
                    pa.struct(
                        [
                            ("response", pa.string()),
                            ("expected", pa.bool_()),
                            ("agreed", pa.bool_()),
                        ]
                    )
                ),
            ),
            ("outcome", pa.string()),
            ("answered", pa.int32()),
            ("tests", pa.int32()),
            ("tests_passed", pa.int32()),
            ("translation", pa.string()),
            ("relation", pa.string()),
            ("dropped", pa.string()),
            ("why", pa.string()),
            ("model", pa.string()),
            ("prompt_tokens", pa.int64()),
            ("completion_tokens", pa.int64()),
            ("variant", pa.string()),
        ]
    ),
    reads=VARIANT,
)
