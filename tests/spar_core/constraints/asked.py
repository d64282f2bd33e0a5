"""Kinds with arguments for them, as checks, and texts to look for them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from random import Random
from typing import Any

import pytest

from spar_core.checks.library import can_check
from spar_core.checks.reading import read_checks
from spar_core.constraints import KINDS
from spar_core.constraints.kind import Kind

SEED = "Describe how a clock works."

OTHERS: dict[str, Sequence[dict[str, Any]]] = {
    "keywords:existence": [{"keywords": ["friend", "C++"]}],
    "keywords:forbidden_words": [{"forbidden_words": ["very", "garden"]}],
    "keywords:frequency": [{"keyword": " friend ", "frequency": 2, "relation": "less than"}],
    "detectable_content:postscript": [
        {"postscript_marker": "P.P.S"},
        {"postscript_marker": " P.S "},
    ],
    "length_constraints:nth_paragraph_first_word": [
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "ΟΔΟΣ"},
        {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "Today"},
    ],
    "length_constraints:number_paragraphs": [{"num_paragraphs": 1}],
    "length_constraints:number_words": [{"num_words": 3, "relation": "less than"}],
    "length_constraints:number_sentences": [{"num_sentences": 1, "relation": "at least"}],
    "detectable_content:number_placeholders": [{"num_placeholders": 2}],
    "detectable_format:multiple_sections": [{"section_spliter": " Section ", "num_sections": 1}],
    "detectable_format:number_highlighted_sections": [{"num_highlights": 3}],
    "detectable_format:number_bullet_lists": [{"num_bullets": 1}],
    "startend:end_checker": [{"end_phrase": " the END. "}],
    "combination:repeat_prompt": [{"prompt_to_repeat": "Say “it”,\nplease."}],
}
"""Arguments that are not drawn, but may stand in a user's own prompts."""

ORDINARY = (
    "A clock measures time. A spring or a battery drives its wheels, and the hands turn with them. "
    "Very old ones swing a weight instead.",
    "Sure! Here are some ideas for your evening:\n\n1. Read a good book, or two.\n"
    "2. Take a long walk in the garden.\n3. Call a friend you have not seen in years.",
    "My grandmother always said that bread needs patience. She was right, of course; dough "
    "that rests overnight has more taste and a better crust.\n\nI still use her old recipe today.",
    '"We should leave at once," said the captain. Nobody moved, although the water was rising '
    "quickly and the lights had already gone out.",
    "- Wash the apples.\n- Cut them into thin slices.\n- Bake them for 20 minutes, then serve.",
    "The **main point** is simple: people learn by doing things, and they remember what they did "
    "with their own hands for many years.",
)
"""Answers of an ordinary kind, in English."""

MORE = ORDINARY[0] + " " + ORDINARY[2].replace("\n\n", " ")
"""Long enough for whatever is asked of it."""


def asked(kind: Kind, arguments: Mapping[str, Any]) -> list[dict[str, str]]:
    """A check as it stands in the table `prompts`; also sees that it is one."""
    read = read_checks({"checks": [{"id": kind.id, "kwargs": dict(arguments)}]})
    assert read is not None
    return [asdict(each) for each in read]


def need(kind: Kind) -> None:
    """Skip the test where the kind's checker cannot run."""
    if not can_check(kind.data):
        pytest.skip(f"NLTK's {kind.data} is not here: python -m nltk.downloader {kind.data}")


def available() -> list[Kind]:
    """The kinds whose checkers run here."""
    return [kind for kind in KINDS.values() if can_check(kind.data)]


def arguments_of(kind: Kind, number: int = 4) -> list[Mapping[str, Any]]:
    """Some arguments that a kind draws."""
    return [kind.draw(Random(i), SEED) for i in range(number)]
