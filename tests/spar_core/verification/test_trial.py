"""Functions in the sandbox: what they say of several answers at once."""

from __future__ import annotations

import pytest

from spar_core.verification.trial import Limits, Trial, trial

LIMITS = Limits(0.5, 32)
RESPONSES = ("abc", "", "B")


def tried(code: str) -> Trial:
    return trial(code, RESPONSES, LIMITS)


def test_a_function_is_asked_of_all_answers() -> None:
    code = "import re\ndef evaluate(response):\n    return bool(re.match('[a-z]+$', response))"
    assert tried(code) == Trial("ran", "", (True, False, False))


def test_an_error_on_one_answer_costs_that_one() -> None:
    found = tried("def evaluate(response):\n    return response[0] == 'a'")
    assert found.outcome == "ran"
    assert found.answers == (True, None, False)
    assert "IndexError" in found.message


@pytest.mark.parametrize(
    ("code", "outcome", "said"),
    [
        ("def evaluate(response): return 1", "failed", "neither True nor False"),
        ("def evaluate(response): return evaluate", "failed", "neither True nor False"),
        ("def check(response): return True", "failed", "NameError"),
        ("def evaluate(response): return (", "failed", ""),
        ("def evaluate(response): raise SystemExit", "failed", "SystemExit"),
        ("def evaluate(response): raise SystemExit(1)", "failed", "SystemExit"),
        ("import sys\ndef evaluate(response): sys.exit(response)", "failed", "SystemExit"),
        ("def evaluate(response): exit()", "failed", "SystemExit"),
        ("import nltk\ndef evaluate(response): return True", "unsupported", "nltk"),
        ("def evaluate(response):\n import nltk\n return True", "unsupported", "nltk"),
        ("def evaluate(response):\n while True: pass", "limit", "time"),
        ("def evaluate(response): return [response] * 10 ** 10", "limit", "memory"),
        ("def evaluate(response): return evaluate(response)", "limit", "recursion"),
    ],
)
def test_one_that_says_nothing_says_why(code: str, outcome: str, said: str) -> None:
    found = tried(code)
    assert found.outcome == outcome
    assert said in found.message
    assert found.answers == (None, None, None)


@pytest.mark.parametrize("end", ["raise SystemExit", "raise SystemExit(1)", "exit(1)"])
def test_an_end_on_one_answer_costs_that_one(end: str) -> None:
    found = tried(f"def evaluate(response):\n    if not response: {end}\n    return True")
    assert found == Trial("ran", "SystemExit", (True, None, True))


def test_a_limit_on_one_answer_is_not_passed_over() -> None:
    found = tried("def evaluate(response):\n    return evaluate(response) if response else True")
    assert found.outcome == "limit"


@pytest.mark.parametrize(
    "code",
    [
        "def evaluate(response): return True\nclass A:\n pass\nlist = A",
        "def evaluate(response):\n    global _each\n    _each = None\n    return True",
        "class bool: pass\ndef evaluate(response): return True\n_each = lambda r: [True] * 7",
    ],
)
def test_a_program_decides_of_its_own_answers_only(code: str) -> None:
    assert tried(code).answers in ((True,) * 3, (None,) * 3)
