"""Verifiers: the functions that are written for a prompt, and which are kept."""

from __future__ import annotations

import sys

import pytest

from schemas.prompts import Prompt
from spar_core.filters.library import NoLibrary
from spar_core.stages.verifiers import VERIFIERS
from spar_core.testing import Made, run_stage
from terminal.exits import UsageError
from tests.spar_core.verification.answers import CASES, LOWER, UPPER, function, writing

PROMPTS = [Prompt(f"p{n}", f"Prompt {n}: small letters only.", "a file", n) for n in range(2)]
COMMENTED = LOWER.replace("True.", "It is.")
TOLD = [*(function(code, *CASES) for code in (LOWER, UPPER, COMMENTED)), "I cannot."]


@pytest.fixture(scope="module")
def made() -> Made:
    """Four functions for each of two prompts; for reading only."""
    script = writing(*TOLD, relation="Relation: entailment")
    return run_stage(VERIFIERS, {"prompts": PROMPTS}, {"verifier": script}, functions=4)


def test_functions_are_kept_that_pass_the_tests_that_most_agree_on(made: Made) -> None:
    rows = [row for row in made["verifiers"] if row.prompt_id == "p0"]
    assert [
        (row.verifier_id, row.outcome, row.answered, row.tests, row.tests_passed, row.dropped)
        for row in rows
    ] == [
        ("i1.p0.v0", "ran", 4, 4, 4, None),
        ("i1.p0.v1", "ran", 4, 4, 2, "fails_tests"),
        ("i1.p0.v2", "ran", 4, 4, 4, None),
        ("i1.p0.v3", None, 0, 0, 0, "off_format"),
    ]
    assert rows[0].code == LOWER
    assert [(case.response, case.expected) for case in rows[0].cases] == [*CASES]
    assert all(case.agreed for case in rows[0].cases)
    assert (rows[0].relation, rows[1].relation) == ("entailment", None)
    assert {row.model for row in rows} == {"verifier"}


def test_every_prompt_has_its_own(made: Made) -> None:
    assert [row.prompt_id for row in made["verifiers"]] == ["p0"] * 4 + ["p1"] * 4
    assert len({row.verifier_id for row in made["verifiers"]}) == 8
    named = run_stage(
        VERIFIERS,
        {"prompts": PROMPTS[:1]},
        writing(*TOLD[:1]),
        functions=1,
        iteration=2,
        variant="one",
    )
    assert [row.verifier_id for row in named["verifiers"]] == ["i2.p0.one.v0"]


def test_what_is_written_is_drawn_as_the_options_say(made: Made) -> None:
    [first, *_] = made.engines["verifier"].requests
    assert (first.n, first.sampling.max_tokens) == (4, 1024)
    options = {"functions": 1, "verifier_temperature": 0.2, "verifier_max_tokens": 99}
    other = run_stage(VERIFIERS, {"prompts": PROMPTS[:1]}, writing(*TOLD[:1]), **options)
    asked = other.engines["verifier"].requests[0]
    assert (asked.n, asked.sampling.temperature, asked.sampling.max_tokens) == (1, 0.2, 99)


def test_the_tokens_of_a_prompts_functions_are_those_spent(made: Made) -> None:
    spent = sum(len(text) // 4 for text in TOLD)
    assert sum(row.completion_tokens for row in made["verifiers"]) > 2 * spent, "and translations"
    asked = [len(each.messages[0]["content"]) // 4 for each in made.engines["verifier"].requests]
    assert sum(row.prompt_tokens for row in made["verifiers"]) == sum(asked)


@pytest.mark.parametrize(
    ("name", "value"), [("functions", 0), ("sandbox_seconds", 0), ("sandbox_memory_mb", "none")]
)
def test_bad_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"--{name}"):
        run_stage(VERIFIERS, {"prompts": PROMPTS}, **{name: value})


def test_without_a_sandbox_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(NoLibrary, match=r"^--method autoif needs the package pydantic-monty"):
        run_stage(VERIFIERS, {"prompts": PROMPTS}, "never asked")
