"""The writer of functions on a scripted engine: what is asked, read and left out."""

from __future__ import annotations

import asyncio
import json

import pytest

from schemas.verifiers import Case
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.verification.engine import CASES as MOST
from spar_core.verification.engine import WriteSettings, Written, read, write
from spar_core.verification.trial import Limits
from tests.spar_core.verification import answers
from tests.spar_core.verification.answers import (
    ALWAYS,
    CASES,
    CONTRADICTION,
    LOWER,
    UPPER,
    Script,
    function,
    kind,
)

PROMPT = "Say {code} hello. Use small letters only."


def written(script: Script, functions: int) -> tuple[list[Written], list[ChatRequest]]:
    settings = WriteSettings(Sampling(0.7, 0.9, 512), functions, Limits(0.5, 32))
    engine = ScriptedEngine(script)
    return asyncio.run(write(engine, PROMPT, settings, 3)), engine.requests


def test_functions_are_kept_that_most_cases_and_the_prompt_speak_for() -> None:
    told = [
        function(LOWER, *CASES),
        function(LOWER, ("also small", True)),
        function(ALWAYS, ("Not Small", True)),
        function(UPPER, *CASES),
        "I cannot.",
        "Nothing to check.",
        function("import nltk\n" + ALWAYS),
        function("def evaluate(response):\n    return 1 / 0\n"),
    ]
    made, requests = written(answers.writing(*told), 8)
    assert [each.dropped for each in made] == [
        *(None, None, "fails_tests", "fails_tests"),
        *("off_format", "nothing_to_check", "unsupported", "failed"),
    ]
    assert [each.outcome for each in made] == [
        *("ran", "ran", "ran", "ran", None, None, "unsupported", "failed")
    ]
    # Half of the four that run call SHOUTED wrong: that is no test.
    assert made[0].cases == tuple(Case(*case, case[0] != "SHOUTED") for case in CASES)
    assert made[1].cases == (Case("also small", True, agreed=True),)
    assert made[2].cases == (Case("Not Small", True),)
    assert [each.tests_passed for each in made[:4]] == [4, 4, 2, 2]
    assert {each.tests for each in made[:4]} == {4}
    assert (made[4].tests, made[0].answered, made[7].answered) == (0, 6, 0)
    assert made[2].why == "it passes 2 of 4 tests"
    assert "nltk" in made[6].why
    assert "ZeroDivisionError" in made[7].why
    assert sorted(kind(each.messages[0]["content"]) for each in requests) == [
        *("compare", "compare", "translate", "translate", "write")
    ]
    assert (made[0].translation, made[0].relation) == ("It has small letters only.", "entailment")
    assert made[2].translation is None
    spent = sum(len(each.messages[0]["content"]) // 4 for each in requests)
    assert sum(each.prompt_tokens for each in made) == spent


def test_what_is_asked() -> None:
    _, requests = written(answers.writing(*[function(LOWER, *CASES)] * 2), 2)
    writing, *others = requests
    assert (writing.n, writing.sampling.temperature) == (2, 0.7)
    assert PROMPT in writing.messages[0]["content"]
    assert {each.n for each in others} == {1}
    assert {each.sampling.temperature for each in others} == {0.0}
    translating, comparing, *_ = (each.messages[0]["content"] for each in others)
    assert LOWER in translating
    assert PROMPT not in translating, "what it checks is told from the code alone"
    assert PROMPT in comparing
    assert "Rule: It has small letters only." in comparing
    assert LOWER not in comparing


@pytest.mark.parametrize(
    ("said", "relation", "dropped"),
    [
        ("So.\n**Relation:** Entailment, as it is said.", "entailment", None),
        ("Relation: neutral", "neutral", None),
        (CONTRADICTION, "contradiction", "contradiction"),
        ("Relation: entailment, neutral or contradiction", None, "unchecked"),
        ("I do not know.", None, "unchecked"),
    ],
)
def test_a_function_that_is_not_known_to_agree_with_the_prompt_is_left_out(
    said: str, relation: str | None, dropped: str | None
) -> None:
    [made], _ = written(answers.writing(function(LOWER, *CASES), relation=said), 1)
    assert (made.relation, made.dropped) == (relation, dropped)
    assert ("Relation" in made.why or "know" in made.why) is bool(dropped)


def test_functions_without_a_test_are_left_out() -> None:
    made, requests = written(answers.writing(function(LOWER), function(UPPER, ("x", True))), 2)
    assert [each.dropped for each in made] == ["no_tests", "no_tests"]
    assert len(requests) == 1


def test_a_fence_within_the_code_does_not_end_it() -> None:
    code = 'def evaluate(response):\n    return not response.startswith("```")\n'
    assert read(function(code)).code == code


@pytest.mark.parametrize(
    ("cases", "held"),
    [
        ("nonsense", 0),
        ("[" * 100_000, 0),
        ("{}", 0),
        ('[1, null, {"response": 1, "expected": true}, {"response": "x", "expected": "yes"}]', 0),
        ('[{"response": "\\ud800", "expected": true}, {"response": "x", "expected": true}]', 1),
        (json.dumps([{"response": str(n), "expected": True} for n in range(3 * MOST)]), MOST),
    ],
)
def test_of_test_cases_is_read_what_can_be(cases: str, held: int) -> None:
    made = read(f"```python\n{LOWER}```\n```json\n{cases}\n```")
    assert made.dropped is None
    assert len(made.cases) == held


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("", "off_format"),
        ("```python\nprint(1)\n```", "off_format"),
        (f"```\n{LOWER}```", "off_format"),
        ("**Nothing to check**", "nothing_to_check"),
    ],
)
def test_an_answer_without_a_function(text: str, dropped: str) -> None:
    assert read(text).dropped == dropped
