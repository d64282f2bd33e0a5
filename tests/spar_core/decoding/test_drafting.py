"""Refinements that cannot be read or asked for, and failures beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spar_core.decoding import SearchSettings
from spar_core.decoding.drafting import REFINE_ROUNDS
from spar_core.engine.protocol import (
    ChatRequest,
    EngineGone,
    ItemError,
    PromptTooLong,
)
from spar_core.engine.scripted import ScriptedEngine
from tests.spar_core.decoding.scripts import (
    BFS,
    DFS,
    MALFORMED,
    Path,
    failing,
    grow,
    is_refine,
    malformed,
    path_of,
    paths,
    prompt_tokens,
    refinement,
    under,
    votes,
)


def test_only_missing_refinements_are_asked_again() -> None:
    engine = malformed([[False, True, False], [False, True], [True]])
    tree = grow(engine, replace(BFS, depth=1))
    refines = [r for r in engine.requests if is_refine(r)]
    assert [r.n for r in refines] == [3, 2, 1]
    assert len({r.seed for r in refines}) == 3
    assert paths(tree) == [(), *under(())]
    assert [n.response for n in tree.nodes] == ["r", "r.0", "r.1", "r.2"]
    assert tree.malformed == 3


def test_refinements_are_asked_for_in_three_rounds_at_most() -> None:
    engine = malformed([[True, False, False], [False, False], [False, False]])
    tree = grow(engine, replace(BFS, depth=1))
    assert REFINE_ROUNDS == 3
    assert paths(tree) == [(), (0,)]
    assert tree.malformed == 6


@pytest.mark.parametrize("how", [BFS, DFS])
def test_nothing_readable_is_an_unsolved_tree_of_its_root(how: SearchSettings) -> None:
    engine = malformed([[False] * 3] * 3)
    tree = grow(engine, how)
    assert paths(tree) == [()] and tree.malformed == 9
    assert tree.solution is None and tree.chosen is tree.root
    assert tree.completion_tokens == 9 * (len(MALFORMED) // 4)
    assert tree.prompt_tokens == 3 * prompt_tokens(engine.requests[0])


def counting(budget: int, **more: Any) -> SearchSettings:
    return replace(BFS, budget=budget, counts_malformed=True, **more)


def asked_for(engine: ScriptedEngine) -> list[int]:
    return [request.n for request in engine.requests if is_refine(request)]


@pytest.mark.parametrize("budget", range(3, 8))
def test_where_malformed_refinements_count_the_budget_bounds_what_is_written(budget: int) -> None:
    """Else a refiner that writes many of them would have more tries than another one."""
    engine = malformed([[False] * min(3, budget - 3 * n) for n in range(3) if budget > 3 * n])
    tree = grow(engine, counting(budget))
    assert tree.written == tree.malformed == sum(asked_for(engine)) == budget
    uncounted = malformed([[False] * 3] * 3)
    assert grow(uncounted, replace(BFS, budget=3)).malformed == 9, "a tree of training data"


def test_what_the_budget_leaves_is_asked_for_again() -> None:
    engine = malformed([[False, True, False], [False]])
    tree = grow(engine, counting(4, depth=1))
    assert asked_for(engine) == [3, 1]
    assert (tree.made, tree.written) == (1, 4)


def test_siblings_share_what_is_left_to_ask_again() -> None:
    """The first level takes 3 of 11, the second 6, and each of its nodes may ask for one more."""

    def script(request: ChatRequest) -> list[str]:
        if not is_refine(request):
            return votes(0, path_of(request))
        if path_of(request):
            return [MALFORMED] * request.n
        return [refinement((number,)) for number in range(request.n)]

    engine = ScriptedEngine(script)
    tree = grow(engine, counting(11))
    assert sorted(asked_for(engine)) == [1, 1, 3, 3, 3]
    assert (tree.made, tree.written) == (3, 11)


def test_best_of_n_refinements_are_n_whatever_they_are() -> None:
    engine = malformed([[True, False, False, True]])
    tree = grow(engine, counting(4, strategy="best_of_n"))
    assert (tree.made, tree.written) == (2, 4)


@pytest.mark.parametrize("how", [BFS, DFS])
def test_root_too_long_to_refine_is_the_items_failure(how: SearchSettings) -> None:
    with pytest.raises(PromptTooLong):
        grow(failing(PromptTooLong("long"), is_refine), how)


@pytest.mark.parametrize("how", [BFS, DFS])
def test_deeper_node_too_long_to_refine_is_a_dead_end(how: SearchSettings) -> None:
    tree = grow(failing(PromptTooLong("long"), lambda r: is_refine(r) and path_of(r) == (0,)), how)
    assert (0,) in paths(tree) and (0, 0) not in paths(tree)
    assert (1, 0) in paths(tree)


def test_child_too_long_to_judge_is_a_node_without_votes() -> None:
    tree = grow(
        failing(PromptTooLong("long"), lambda r: not is_refine(r) and path_of(r) == (1,)),
        replace(BFS, depth=1),
    )
    judged = tree.nodes[2].judged
    assert (judged.verdict, judged.value, judged.ballots) == ("unjudged", None, ())
    assert tree.nodes[2].score == 0 and not judged.passed


@pytest.mark.parametrize("error", [ItemError("broken", attempts=5), EngineGone("gone")])
@pytest.mark.parametrize(
    ("refines", "at"), [(True, ()), (False, (2,)), (True, (1,)), (False, (1, 1))]
)
def test_other_failures_come_out_as_they_are(error: Exception, refines: bool, at: Path) -> None:
    with pytest.raises(type(error)) as caught:
        grow(failing(error, lambda r: is_refine(r) == refines and path_of(r) == at))
    assert caught.value is error
