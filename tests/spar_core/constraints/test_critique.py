"""Criticism by a program."""

from __future__ import annotations

from random import Random

import pytest

from spar_core.constraints.critique import (
    UnknownKind,
    reflection,
    requirements,
    verification,
)

CHECKS = [
    {"id": "punctuation:no_comma", "kwargs": "{}"},
    {"id": "keywords:existence", "kwargs": '{"keywords": ["clock", "hand"]}'},
    {"id": "startend:quotation", "kwargs": "{}"},
]


def test_each_requirement_is_named_with_what_decides_it() -> None:
    found = requirements(CHECKS, "A clock, old.", Random(0))
    assert [(each.name, each.evidence, each.met) for each in found] == [
        ("without commas", '"clock" has a comma after it', False),
        ('use of "clock" and "hand"', '"hand" is missing', False),
        ("quotation marks around it", "its first word is A and its last is old.", False),
    ]
    assert verification(found) == (
        '1. Without commas: "clock" has a comma after it, missed. '
        '2. Use of "clock" and "hand": "hand" is missing, missed. '
        "3. Quotation marks around it: its first word is A and its last is old., missed."
    )
    assert reflection(found) == (
        'Mend: without commas; use of "clock" and "hand"; quotation marks around it.'
    )


def test_what_is_met_is_not_to_be_mended() -> None:
    found = requirements(CHECKS, "A clock has a hand", Random(1))
    assert [each.met for each in found] == [True, True, False]
    said = verification(found)
    assert said.startswith("1. ")
    assert (said.count(", met."), said.count(", missed.")) == (2, 1)
    assert [f"{n}. " in said for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert reflection(found) == f"Mend: {found[2].name}."


def test_wordings_vary_by_the_seed_alone() -> None:
    said = [verification(requirements(CHECKS, "A clock", Random(n))) for n in range(20)]
    assert len(set(said)) > 5
    assert said == [verification(requirements(CHECKS, "A clock", Random(n))) for n in range(20)]


def test_of_an_unknown_check_nothing_can_be_said() -> None:
    checks = [*CHECKS, {"id": "language:response_language", "kwargs": '{"language": "de"}'}]
    with pytest.raises(UnknownKind, match="language:response_language"):
        requirements(checks, "x", Random(0))
