"""Greedy: one response at temperature 0."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spar_core.engine.protocol import PromptTooLong
from tests.spar_core.decoding.scripts import (
    ANSWERING,
    BFS,
    MALFORMED,
    answer,
    asked,
    failing,
    grow,
    is_refine,
    responses,
    told,
)

GREEDY = replace(BFS, strategy="greedy")


@pytest.mark.parametrize("yes", [2, 3])
def test_root_is_refined_once_at_temperature_0_and_the_refinement_judged(yes: int) -> None:
    engine = told(refined={"r": ["a"]}, yes={"a": yes})
    tree = grow(engine, GREEDY)
    assert asked(engine) == [("refiner", 1), ("judge", 5)]
    assert engine.requests[0].sampling == replace(BFS.sampling, temperature=0.0)
    assert engine.requests[1].sampling == BFS.judge.sampling
    assert responses(tree) == ["r", "a"] and tree.refinements == tree.made == 1
    assert tree.chosen is tree.nodes[1] and (tree.solution is tree.nodes[1]) == (yes == 3)


def test_refinement_that_cannot_be_read_is_not_asked_for_again() -> None:
    engine = told(refined={"r": [MALFORMED]})
    tree = grow(engine, GREEDY)
    assert asked(engine) == [("refiner", 1)], "the same would come"
    assert tree.malformed == 1 and tree.solution is None and tree.chosen is tree.root


def test_answer_is_one_at_temperature_0_and_nobody_judges_it() -> None:
    engine = told(answers=["a", "b"])
    tree = answer(engine, GREEDY)
    assert asked(engine) == [("actor", 1)]
    assert engine.requests[0].sampling == replace(ANSWERING, temperature=0.0)
    assert responses(tree) == ["a"] and tree.chosen is tree.root and tree.solution is None
    assert tree.root.judged.verdict == "unjudged" and tree.root.score == 0
    assert (tree.made, tree.refinements) == (1, 0)
    assert (tree.prompt_tokens, tree.completion_tokens) == (len("p") // 4, 1)


def test_root_too_long_to_refine_is_the_items_failure() -> None:
    with pytest.raises(PromptTooLong):
        grow(failing(PromptTooLong("long"), is_refine), GREEDY)
