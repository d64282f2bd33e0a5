"""Steps by kind."""

from __future__ import annotations

import pytest

from inspection.reproduction.contract import Step
from inspection.reproduction.step_groups import Group, grouped, kind


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("seed 1: DPO: independent 2", "DPO"),
        ("seed 12:data round: report 1", "data round"),
        ("all seeds: evolve: prompts of the set taught", "evolve"),
        ("Seed 3: main line: bootstrap and iteration 1", "main line"),
        ("seed 1: bootstrap", "bootstrap"),
        ("seed 1: data round 2", "data"),
        ("seeds are drawn", "seeds"),
        ("seed 1: ", "unnamed"),
        ("seed 1: : x", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_the_kind_is_the_part_after_the_seed(name: str, found: str) -> None:
    assert kind(name) == found


def test_steps_of_a_kind_are_added_up_in_their_order() -> None:
    steps = [
        *(Step("evolve", 10), Step("seed 1: DPO: spar 1", 5), Step("seed 2: dpo: x", 7.5)),
        Step("Evolve more", 1),
    ]
    assert grouped(steps) == [Group("evolve", 2, 11), Group("DPO", 2, 12.5)]
    assert grouped([]) == []
