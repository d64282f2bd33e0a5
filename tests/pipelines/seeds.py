"""Seeds for tests, and the scripts of a writer that is an engine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.loopback import Answer, Body

SEEDS = (
    "Describe how a pendulum clock works.",
    "Recommend a quiet place to spend a rainy afternoon.",
    "Explain to a child why leaves fall in autumn.",
    "Tell me about the river Nile and the people who live along it.",
    "Suggest a birthday present for my grandmother.",
    "Who discovered penicillin, and how did it happen?",
)
"""Plain instructions in English that no filter leaves out."""

LEFT_OUT = {
    "Describe how a pendulum clock works!": "near_duplicate",
    "Write a python function that adds two numbers.": "maths_or_code",
    "Erkläre mir bitte, warum im Herbst die Blätter von den Bäumen fallen.": "other_language",
    "Hello there": "too_short",
    "Please tell me " + "and tell me once more " * 120: "too_long",
}
"""Seeds that filters leave out, and why; the first is like one of `SEEDS`."""

CONTRADICTORY = "a contradictory one"
REFUSED = "a refused one"
OFF_FORMAT = "an unreadable one"


def write_seeds(path: Path, seeds: Iterable[Any] = SEEDS) -> Path:
    """Seeds as JSONL; what is no text is a row as it is."""
    rows = [{"seed": seed} if isinstance(seed, str) else seed for seed in seeds]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def is_check(body: Body) -> bool:
    return "Consistent: Yes or No" in body["messages"][0]["content"]


def seed_in(body: Body) -> str:
    """The seed, or the prompt, that a request is about."""
    content: str = body["messages"][0]["content"]
    return content.partition("Instruction: ")[2].partition("\n\n")[0]


def write(body: Body) -> Answer:
    """Plays the writer: some seeds are refused, unreadable or come out contradictory."""
    seed = seed_in(body)
    if is_check(body):
        return [f"Consistent: {'No' if CONTRADICTORY in seed else 'Yes'}"]
    if REFUSED in seed:
        return ["Refused: it makes no sense."]
    if OFF_FORMAT in seed:
        return ["I would rather not."]
    return [f"Constraints:\n- Rhyme.\nEvolved Instruction: [[start]] {seed} Let it rhyme. [[end]]"]
