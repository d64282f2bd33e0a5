"""Verify: what the kept functions of a prompt say of the responses to it."""

from __future__ import annotations

import pytest

from schemas.verifications import Verification
from spar_core.stages.verify import VERIFY
from spar_core.testing import run_stage
from tests.spar_core.rows import NO_COMMA, Tables, add, prompts, respond
from tests.spar_core.verification.answers import ALWAYS, LOWER, UPPER


@pytest.fixture
def tables() -> Tables:
    return prompts()


def function(tables: Tables, name: str, code: str, prompt: str = "p", dropped: str = "") -> None:
    add(
        tables,
        "verifiers",
        verifier_id=name,
        prompt_id=prompt,
        code=code,
        model="writer",
        dropped=dropped or None,
    )


def verified(tables: Tables) -> list[Verification]:
    limits = {"sandbox_seconds": 0.5, "sandbox_memory_mb": 32}
    rows: list[Verification] = run_stage(VERIFY, tables, **limits)["verifications"]
    return rows


def test_kept_functions_of_a_prompt_are_asked_of_its_responses(tables: Tables) -> None:
    for name, text in (("r1", "small"), ("r2", "LARGE"), ("r3", "1")):
        respond(tables, name, text=text)
    respond(tables, "of another", "q", "small")
    respond(tables, "other", "elsewhere", "small")
    function(tables, "v1", LOWER)
    function(tables, "v2", "def evaluate(response):\n    return response[1].isalpha()")
    function(tables, "v3", ALWAYS, dropped="fails_tests")
    function(tables, "v4", UPPER, "q", dropped="contradiction")
    assert verified(tables) == [
        Verification("r1", "p", 2, 0, 0, 1.0, "writer"),
        Verification("r2", "p", 1, 1, 0, 0.5, "writer"),
        Verification("r3", "p", 0, 1, 1, 0.0, "writer"),
    ]


def test_what_no_function_can_decide_has_no_rate(tables: Tables) -> None:
    respond(tables, "r", text="small")
    function(tables, "v", "def evaluate(response):\n    while True: pass")
    assert verified(tables) == [Verification("r", "p", 0, 0, 1, None, "writer")]


def test_a_program_checks_beside_the_functions(tables: Tables) -> None:
    tables["prompts"][0]["checks"] = [NO_COMMA]
    respond(tables, "r1", text="no commas here")
    respond(tables, "r2", text="well, some")
    function(tables, "v", ALWAYS)
    assert [(row.response_id, row.pass_rate, row.checked) for row in verified(tables)] == [
        ("r1", 1.0, True),
        ("r2", 1.0, False),
    ]
