"""Answers of a model that writes verification functions, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from spar_core.engine.protocol import ChatRequest

LOWER = 'def evaluate(response: str) -> bool:\n    """True."""\n    return response.islower()\n'
UPPER = "def evaluate(response):\n    return response.isupper()\n"
ALWAYS = "def evaluate(response):\n    return True\n"
CASES = (("all small", True), ("Not Small", False), ("Mixed", False), ("SHOUTED", False))
"""On these `LOWER` is right, and `UPPER` and `ALWAYS` are on half of them or fewer."""
CONTRADICTION = "It breaks it.\nRelation: contradiction"

Script = Callable[[ChatRequest], Sequence[str]]


def function(code: str, *cases: tuple[str, bool]) -> str:
    """A function and test cases in the form that is asked for."""
    told = json.dumps([{"response": text, "expected": expected} for text, expected in cases])
    return f"Here it is.\n```python\n{code}```\nAnd:\n```json\n{told}\n```\n"


def kind(content: str) -> str:
    """What is asked for: `write`, `translate`, `compare`, `score`, or `answer` of an actor."""
    for name, said in (
        ("write", "Write a Python function `evaluate"),
        ("translate", "Here is a Python function that"),
        ("compare", "Relation: entailment, neutral or"),
        ("score", "how well a Response answers the query"),
    ):
        if said in content:
            return name
    return "answer"


def writing(*functions: str, relation: str = "It is so.\nRelation: entailment") -> Script:
    """Writes these functions, translates each, and compares all alike."""

    def script(request: ChatRequest) -> Sequence[str]:
        asked = kind(request.messages[0]["content"])
        if asked == "write":
            return functions
        return ["It has small letters only."] if asked == "translate" else [relation]

    return script
