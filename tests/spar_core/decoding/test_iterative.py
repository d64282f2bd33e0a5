"""Iterative refinement: the last response is refined until one passes or there are N."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spar_core.engine.protocol import PromptTooLong
from tests.spar_core.decoding.scripts import (
    BFS,
    MALFORMED,
    Paced,
    answer,
    asked,
    failing,
    grow,
    is_refine,
    path_of,
    paths,
    responses,
    text_of,
    told,
)

ITERATIVE = replace(BFS, strategy="iterative", budget=4)
CHAIN = {"r": ["a"], "a": ["b"], "b": ["c"], "c": ["d"], "d": ["e"]}
STEP = [("refiner", 1), ("judge", 5)]


def test_each_refinement_is_of_the_last_until_there_are_n() -> None:
    engine = told(refined=CHAIN, yes={"a": 2, "b": 1, "c": 2})
    tree = grow(engine, ITERATIVE)
    assert asked(engine) == STEP * 4
    assert [text_of(r) for r in engine.requests] == ["r", "a", "a", "b", "b", "c", "c", "d"]
    assert paths(tree) == [(), (0,), (0, 0), (0, 0, 0), (0, 0, 0, 0)], "deeper than trees may be"
    assert tree.solution is None and tree.chosen.response == "a", "the best, not the last"


def test_first_that_passes_ends_it() -> None:
    engine = told(refined=CHAIN, yes={"b": 3, "c": 5})
    tree = grow(engine, ITERATIVE)
    assert asked(engine) == STEP * 2
    assert responses(tree) == ["r", "a", "b"] and tree.solution is tree.nodes[2] is tree.chosen


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_budget_is_the_number_of_refinements(budget: int) -> None:
    engine = told(refined=CHAIN)
    assert grow(engine, replace(ITERATIVE, budget=budget)).refinements == budget
    assert asked(engine) == STEP * budget


def test_answer_is_the_first_of_n() -> None:
    engine = Paced(told(answers="r", refined=CHAIN, yes={"c": 4}))
    tree = answer(engine, ITERATIVE)
    assert asked(engine._script) == [("actor", 1), ("judge", 5), *STEP * 3]
    assert responses(tree) == [*"rabc"] and tree.made == 4
    assert tree.solution is tree.nodes[3]
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent


def test_answer_that_passes_is_not_refined() -> None:
    engine = told(answers="r", yes={"r": 3})
    tree = answer(engine, ITERATIVE)
    assert asked(engine) == [("actor", 1), ("judge", 5)]
    assert tree.solution is tree.root


def test_refinement_is_asked_for_again_until_it_can_be_read_or_thrice() -> None:
    engine = told(refined={"r": [MALFORMED, "a"], "a": [MALFORMED] * 3})
    tree = grow(engine, ITERATIVE)
    assert asked(engine) == [*STEP[:1], *STEP, *STEP[:1] * 3]
    assert responses(tree) == ["r", "a"] and tree.malformed == 4
    assert tree.solution is None


def test_node_too_long_to_refine_ends_it_and_a_root_is_the_items_failure() -> None:
    long = PromptTooLong("long")
    tree = grow(failing(long, lambda r: is_refine(r) and path_of(r) == (0,)), ITERATIVE)
    assert paths(tree) == [(), (0,)] and tree.solution is None
    with pytest.raises(PromptTooLong):
        grow(failing(long, is_refine), ITERATIVE)
