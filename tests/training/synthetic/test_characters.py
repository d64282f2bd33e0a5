"""Letters: what pairs differ in, and which answers are right."""

from __future__ import annotations

import pytest

from training.synthetic import characters
from training.synthetic.task import Example

MATERIAL = characters.material(seed=1, start=2000, pairs=500, held_out=200)
EXAMPLE = Example("Write 4 letters b and nothing else.", "bbb", "bbbb", "BBBB")


def test_refined_pairs_differ_in_the_length_alone() -> None:
    for example in MATERIAL.pairs:
        assert set(example.refined) == set(example.rejected)
        assert len(example.refined) != len(example.rejected) > 0
        assert example.refined.islower()
        assert example.prompt.split()[1] == str(len(example.refined))


def test_interfering_pairs_differ_in_the_case_as_well() -> None:
    for example in MATERIAL.pairs:
        assert example.interfering.isupper()
        assert example.interfering.lower() == example.refined
        assert example.chosen("interfering") == example.interfering
        assert example.chosen("refined") == example.refined


def test_both_sides_are_judged_as_meant() -> None:
    for example in MATERIAL.pairs:
        assert not characters.is_right(example, example.rejected)
        assert characters.is_right(example, example.refined)
        assert characters.is_right(example, example.interfering)


def test_held_out_prompts_are_nowhere_else() -> None:
    held_out = {example.prompt for example in MATERIAL.held_out}
    assert len(held_out) > 50
    assert held_out.isdisjoint(example.prompt for example in MATERIAL.pairs)
    assert held_out.isdisjoint(prompt for prompt, _ in MATERIAL.start)


def test_the_start_is_imperfect_and_writes_both_cases() -> None:
    lengths = [int(prompt.split()[1]) == len(answer) for prompt, answer in MATERIAL.start]
    assert 0.5 < sum(lengths) / len(lengths) < 0.6
    upper = [characters.has_factor(answer) for _, answer in MATERIAL.start]
    assert 0.25 < sum(upper) / len(upper) < 0.35


def test_a_seed_always_gives_the_same() -> None:
    assert characters.material(1, 2000, 500, 200) == MATERIAL
    assert characters.material(2, 2000, 500, 200) != MATERIAL


@pytest.mark.parametrize("answer", ["bbbb", "BBBB", "bBbB", " b b\nb b "])
def test_right(answer: str) -> None:
    assert characters.is_right(EXAMPLE, answer)


@pytest.mark.parametrize("answer", ["", "bbb", "bbbbb", "cccc", "bbbb.", "4 b", "bbbb bbbb"])
def test_wrong(answer: str) -> None:
    assert not characters.is_right(EXAMPLE, answer)


@pytest.mark.parametrize(("answer", "shown"), [("BB", True), ("bb", False), ("Bb", False)])
def test_the_case(answer: str, shown: bool) -> None:
    assert characters.has_factor(answer) is shown
