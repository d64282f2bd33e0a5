"""Prompts with checks for tests, an actor that answers them so and so, and a teacher."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.loopback import Answer, Body
from tests.pipelines.rounds import role

NO_COMMA = {"id": "punctuation:no_comma"}
QUOTED = {"id": "startend:quotation"}
LOWER = {"id": "change_case:english_lowercase"}
BULLETS = {"id": "detectable_format:number_bullet_lists", "kwargs": {"num_bullets": 3}}
LANGUAGE = {"id": "language:response_language", "kwargs": {"language": "en"}}

GOOD = "a clock has a spring and two hands that turn with it all day long"
COMMA = "a clock has a spring, and two hands that turn with it all day long"
ALL_WRONG = "A clock has a spring, and two hands that turn with it all day long"
QUOTED_GOOD = f'"{GOOD}"'

PROMPTS: dict[str, tuple[list[dict[str, Any]] | None, list[str]]] = {
    "Describe a clock without commas.": ([NO_COMMA], [GOOD, COMMA, GOOD]),
    "Describe a clock, quoted, small, without commas.": (
        [NO_COMMA, LOWER, QUOTED],
        [QUOTED_GOOD, ALL_WRONG, COMMA],
    ),
    "Describe a clock in 3 bullets.": ([BULLETS], ["It ticks.", "- a\n- b\n- c", "Why?"]),
    "Describe a clock.": (None, [GOOD, COMMA, ALL_WRONG]),
    "Describe a clock in English.": ([LANGUAGE], [GOOD, COMMA, ALL_WRONG]),
}
"""Checks of prompts, and the actor's answers to them."""


def write_prompts(path: Path) -> Path:
    """The prompts as JSONL."""
    rows = [
        {"prompt": prompt, "checks": checks} if checks else {"prompt": prompt}
        for prompt, (checks, _) in PROMPTS.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def act(body: Body) -> Answer:
    """Plays the actor on `PROMPTS`."""
    answers = PROMPTS[body["messages"][0]["content"]][1]
    return [answers[i % len(answers)] for i in range(body["n"])]


TOPICS = [f"Topic {n}: {word}" for n, word in enumerate(["good", "bad", "unsure", "mute", "worse"])]
"""Prompts for a teacher that judges answers by a word in them."""


def teach(body: Body) -> Answer:
    """Plays actor and teacher on `TOPICS`: an answer holds the word that says how it is judged.

    Bad answers are refined well, worse ones never.
    """
    first, n = body["messages"][0]["content"], body.get("n", 1)
    if role(body) == "actor":
        return [f"answer {i} of {body['model']} to {first}" for i in range(n)]
    found = re.search('Output: "(.*?)"\n\nGo', first, re.DOTALL)
    assert found
    word = found[1].rpartition(": ")[2]
    if role(body) == "refine":
        mended = found[1].replace("bad", "good")
        return [f"It was {word}.\nFinal Refined Output: [[start]] {mended} [[end]]"] * n
    yes = {"good": 5, "bad": 0, "unsure": 3, "worse": 1}.get(word, 0)
    if word == "mute":
        return ["No idea."] * n
    return [f"It is {word}.\nFinal Judgement: {'Yes' if i < yes else 'No'}" for i in range(n)]


def write_topics(path: Path, topics: list[str] = TOPICS) -> Path:
    """Topics as JSONL, without checks."""
    path.write_text("".join(json.dumps({"prompt": topic}) + "\n" for topic in topics))
    return path
