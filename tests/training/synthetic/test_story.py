"""Stories: what pairs differ in, and which answers are right."""

from __future__ import annotations

import pytest

from training.synthetic import story

MATERIAL = story.material(seed=1, start=2000, pairs=500, held_out=200)


def sentences(text: str) -> list[str]:
    return [f"{sentence}." for sentence in text.rstrip(".").split(". ")]


def middle(text: str) -> list[str]:
    return [s for s in sentences(text) if not s.startswith(("One day", "At last"))]


def test_refined_pairs_have_the_same_middle() -> None:
    for example in MATERIAL.pairs:
        assert middle(example.refined) == middle(example.rejected)
        ends = {sentences(example.refined)[0], sentences(example.refined)[-1]}
        assert len(ends & set(sentences(example.rejected))) == 1


def test_interfering_pairs_have_another_middle() -> None:
    for example in MATERIAL.pairs:
        assert not set(middle(example.interfering)) & set(middle(example.rejected))
        assert sentences(example.interfering)[0] == sentences(example.refined)[0]
        assert sentences(example.interfering)[-1] == sentences(example.refined)[-1]
        assert len(sentences(example.interfering)) == len(sentences(example.refined))
        assert story.has_factor(example.interfering)
        assert not story.has_factor(example.refined)
        assert not story.has_factor(example.rejected)


def test_both_sides_are_judged_as_meant() -> None:
    for example in MATERIAL.pairs:
        assert not story.is_right(example, example.rejected)
        assert story.is_right(example, example.refined)
        assert story.is_right(example, example.interfering)


def test_negatives_miss_the_start_or_the_end_by_absence_or_another() -> None:
    missing = sum(len(sentences(example.rejected)) == 3 for example in MATERIAL.pairs)
    no_start = sum(
        sentences(example.rejected)[0] != sentences(example.refined)[0]
        for example in MATERIAL.pairs
    )
    assert 200 < missing < 300
    assert 200 < no_start < 300


def test_held_out_prompts_are_nowhere_else() -> None:
    held_out = {example.prompt for example in MATERIAL.held_out}
    assert len(MATERIAL.held_out) == 200
    assert held_out.isdisjoint(example.prompt for example in MATERIAL.pairs)
    assert held_out.isdisjoint(prompt for prompt, _ in MATERIAL.start)


def test_the_start_tells_both_stories() -> None:
    sea = [story.has_factor(answer) for _, answer in MATERIAL.start]
    assert 0.25 < sum(sea) / len(sea) < 0.35


def test_a_seed_always_gives_the_same() -> None:
    assert story.material(1, 2000, 500, 200) == MATERIAL


@pytest.mark.parametrize("answer", ["", "{end}", "{start}", "{end} {start}", "So: {start} {end}"])
def test_wrong(answer: str) -> None:
    example = MATERIAL.pairs[0]
    start, *_, end = sentences(example.refined)
    assert not story.is_right(example, answer.format(start=start, end=end))


def test_right_with_any_middle() -> None:
    example = MATERIAL.pairs[0]
    start, *_, end = sentences(example.refined)
    assert story.is_right(example, f"\n{start} Anything at all! {end} ")
