"""Backtranslation: how instructions and grades are read."""

from __future__ import annotations

import pytest

from spar_core.backtranslation import (
    backward_messages,
    curate_messages,
    read_grade,
    read_instruction,
)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Explain tides.", "Explain tides."),
        ("  Instruction: Explain tides.\n", "Explain tides."),
        ('**Instruction:** "Explain tides."', "Explain tides."),
        ('"Tides" and "ebb": explain both.', '"Tides" and "ebb": explain both.'),
        ('"', '"'),
        ('Instruction: ""', ""),
        (" \n", ""),
    ],
)
def test_an_instruction_is_read_without_what_stands_round_it(said: str, read: str) -> None:
    assert read_instruction(said) == read


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("Reasons: fine.\nScore: 4", 4.0),
        ("Score: 2 at first. Score: 5", 5.0),
        ("Score: 0", None),
        ("Score: 6", None),
        ("five", None),
    ],
)
def test_a_grade_is_one_of_five(said: str, grade: float | None) -> None:
    assert read_grade(said) == grade


def test_braces_in_a_text_mean_nothing() -> None:
    text = "a {text} with {instruction} and {0}"
    assert f'Text: "{text}"' in backward_messages(text)[0]["content"]
    said = curate_messages("{text}?", text)[0]["content"]
    assert f'Answer: "{text}"' in said and 'Instruction: "{text}?"' in said
