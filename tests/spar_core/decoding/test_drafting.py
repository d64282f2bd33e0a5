"""Refinements that cannot be read or asked for, and failures beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spar_core.decoding import SearchSettings
from spar_core.decoding.drafting import REFINE_ROUNDS
from spar_core.engine.protocol import (
    EngineGone,
    ItemError,
    PromptTooLong,
)
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
    under,
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
