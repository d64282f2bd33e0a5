"""Exact trees of BFS and DFS: which nodes, in which order, from which requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.conversation import refine_grammar, refine_messages
from spar_core.decoding import SearchSettings, Strategy
from spar_core.engine.protocol import (
    ChatRequest,
)
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import Ballot, count
from tests.spar_core.decoding.scripts import (
    BFS,
    DFS,
    Yes,
    both,
    engine_of,
    expanded,
    grow,
    is_refine,
    named,
    path_of,
    paths,
    random_engine,
    refinement,
    under,
    votes,
)


def test_bfs_expands_the_best_two_of_each_level_best_first() -> None:
    engine = engine_of({(0,): 1, (2,): 2, (0, 1): 1, (2, 2): 2})
    tree = grow(engine)
    assert paths(tree) == [(), *under(()), *under((2,), (0,)), *under((2, 2), (0, 1))]
    assert expanded(engine) == [(), (2,), (0,), (2, 2), (0, 1)]
    assert tree.solution is None and tree.refinements == 15
    assert tree.chosen.path == (2,), "of equals the first made"
    assert [node.response for node in tree.nodes] == [named(path) for path in paths(tree)]
    assert tree.nodes[4].reflection == "to r.2.0"


def test_bfs_keeps_the_first_of_equals() -> None:
    engine = engine_of({})
    grow(engine)
    assert expanded(engine) == [(), (0,), (1,), (0, 0), (0, 1)]


def test_dfs_goes_down_the_best_child_and_comes_back_for_the_second() -> None:
    engine = engine_of({(1,): 2, (2,): 1, (1, 0): 1, (1, 2): 2})
    tree = grow(engine, replace(DFS, budget=99))
    order = [(), (1,), (1, 2), (1, 0), (2,), (2, 0), (2, 1)]
    assert expanded(engine) == order
    assert paths(tree) == [(), *under(*order)]
    assert tree.refinements == 21 and tree.solution is None


def test_dfs_stops_at_the_paper_budget() -> None:
    engine = engine_of({})
    tree = grow(engine, DFS)
    assert tree.refinements == 15
    assert expanded(engine) == [(), (0,), (0, 0), (0, 1), (1,)]


def test_bfs_ends_with_the_first_level_that_passes() -> None:
    engine = engine_of({(0,): 2, (1, 2): 3, (0, 1): 5})
    tree = grow(engine)
    assert tree.refinements == 9, "the level is finished, the next not begun"
    assert tree.solution is not None and tree.solution.path == (0, 1), "the level's best"
    assert tree.chosen is tree.solution


def test_dfs_ends_with_the_first_siblings_that_pass() -> None:
    engine = engine_of({(0,): 2, (0, 1): 3, (0, 2): 4, (1, 0): 5})
    tree = grow(engine, DFS)
    assert paths(tree) == [(), *under((), (0,))]
    assert tree.solution is not None and tree.solution.path == (0, 2)


@pytest.mark.parametrize("how", [BFS, DFS])
def test_search_ends_at_once_when_a_first_child_passes(how: SearchSettings) -> None:
    tree = grow(engine_of({(2,): 3}), how)
    assert paths(tree) == [(), *under(())]
    assert tree.solution is not None and tree.solution.path == (2,)


@pytest.mark.parametrize("how", [BFS, DFS])
@pytest.mark.parametrize("budget", [0, 1, 2, 3, 4, 7, 8, 15])
def test_budget_is_spent_to_the_last_and_no_more(how: SearchSettings, budget: int) -> None:
    tree = grow(engine_of({}), replace(how, budget=budget))
    assert tree.refinements == budget


def test_budget_smaller_than_a_level_goes_to_the_best_first() -> None:
    engine = engine_of({(1,): 1})
    tree = grow(engine, replace(BFS, budget=7))
    assert paths(tree) == [(), *under((), (1,)), (0, 0)]
    assert [request.n for request in engine.requests if is_refine(request)] == [3, 3, 1]


@pytest.mark.parametrize("how", [BFS, DFS])
def test_depth_1_is_one_expansion(how: SearchSettings) -> None:
    assert paths(grow(engine_of({}), replace(how, depth=1))) == [(), *under(())]


def test_siblings_are_one_request_and_each_child_is_judged_by_one() -> None:
    engine = engine_of({})
    grow(engine, replace(BFS, depth=1))
    assert [(is_refine(r), r.n) for r in engine.requests] == [(True, 3)] + [(False, 5)] * 3
    assert [path_of(r) for r in engine.requests[1:]] == under(())
    assert engine.requests[0].sampling == BFS.sampling
    assert engine.requests[1].sampling == BFS.judge.sampling


def test_refining_continues_the_judge_conversation_of_the_same_node() -> None:
    engine = engine_of({(1,): 2})
    tree = grow(engine)
    first, second = [r for r in engine.requests if is_refine(r)][:2]
    assert list(first.messages) == refine_messages("p", "r", "root critique")
    judged = next(r for r in engine.requests if not is_refine(r) and path_of(r) == (1,))
    assert second.messages[:1] == judged.messages
    assert second.messages[1] == {"role": "assistant", "content": tree.nodes[2].judged.critique}
    assert second.messages[1]["content"].endswith("Final Judgement: No")


def test_requests_are_those_of_earlier_versions() -> None:
    """Journals of runs that were cut off hold their answers under these.

    Those of judgements follow from the text.
    """
    shared = {1101897234: 3, 666937575: 5, 876377379: 5, 274815527: 5, 1950794648: 3}
    below_0 = {1517987176: 5, 1641289122: 5, 835083041: 5}
    below_1 = {1430649151: 3, 619451894: 5, 164635219: 5, 584848957: 5}
    for how, expected in ((BFS, shared | below_0 | below_1), (DFS, shared | below_0)):
        engine = engine_of({(0,): 1, (0, 1): 3})
        grow(engine, how)
        assert {request.seed: request.n for request in engine.requests} == expected


def test_grammar_is_sent_only_when_constrained() -> None:
    engine = engine_of({})
    grow(engine, replace(BFS, depth=1, constrained=True))
    assert [r.grammar for r in engine.requests] == [refine_grammar(3072), None, None, None]


def test_same_seed_asks_the_same_and_another_seed_another() -> None:
    engines = [engine_of({(1,): 1}) for _ in range(3)]
    for engine, seed in zip(engines, (5, 5, 6), strict=True):
        grow(engine, seed=seed)
    one, same, other = (engine.requests for engine in engines)
    assert one == same
    assert [r.messages for r in one] == [r.messages for r in other]
    assert not {r.seed for r in one} & {r.seed for r in other}
    assert len({r.seed for r in one}) == len(one), "no two requests of a tree share a seed"


def test_root_is_chosen_where_it_is_the_best() -> None:
    root = count([Ballot("Yes", "y"), Ballot("Yes", "y"), *[Ballot("No", "n")] * 3], 3)
    tree = grow(engine_of({(0,): 1}), root=root)
    assert tree.solution is None and tree.chosen is tree.root


def test_best_child_is_chosen_where_none_passes() -> None:
    tree = grow(engine_of({(0, 1): 2}))
    assert tree.solution is None and tree.chosen.path == (0, 1)


def half_read(yes: Yes) -> ScriptedEngine:
    """First children get two Yes and three votes that cannot be read; others as given."""

    def script(request: ChatRequest) -> list[str]:
        path = path_of(request)
        if is_refine(request):
            return [refinement((*path, i)) for i in range(request.n)]
        return (
            [*votes(2, path, 2), "?", "?", "?"] if path[-1] == 0 else votes(yes.get(path, 0), path)
        )

    return ScriptedEngine(script)


@both
def test_child_without_quorum_is_ranked_by_the_votes_that_were_read(how: SearchSettings) -> None:
    engine = half_read({(1,): 1, (2,): 2})
    tree = grow(engine, replace(how, depth=2, branch=3, budget=6))
    assert tree.nodes[1].judged.verdict == "no_quorum" and tree.nodes[1].score == 1.0
    assert expanded(engine)[1] == (0,), "above one of value 0.4"
    assert tree.chosen.path == (0,) and tree.solution is None, "but no verdict, so no solution"


@both
def test_child_without_quorum_never_hides_one_that_passes(how: SearchSettings) -> None:
    tree = grow(half_read({(1,): 3, (2,): 4}), how)
    assert tree.nodes[1].score > tree.nodes[3].score == 0.8
    assert tree.solution is tree.nodes[3] is tree.chosen


def test_tie_does_not_pass() -> None:
    how = replace(BFS, depth=1, judge=replace(BFS.judge, votes=4))
    tree = grow(engine_of({(0,): 2}), how)
    assert tree.nodes[1].judged.verdict == "tie"
    assert tree.solution is None and tree.chosen.path == (0,)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    strategy=st.sampled_from(["bfs", "dfs"]),
    branch=st.integers(1, 4),
    keep=st.integers(1, 4),
    depth=st.integers(1, 4),
    budget=st.integers(1, 25),
)
def test_any_search_keeps_its_bounds(
    seed: int, strategy: Strategy, branch: int, keep: int, depth: int, budget: int
) -> None:
    how = replace(BFS, strategy=strategy, branch=branch, keep=keep, depth=depth, budget=budget)
    engine, spent = random_engine(seed)
    tree = grow(engine, how, seed=seed)

    assert tree.refinements <= budget
    if strategy == "bfs":
        assert tree.refinements <= branch + (depth - 1) * keep * branch
    known = {node.path: node for node in tree.nodes}
    assert len(known) == len(tree.nodes)
    assert [node.order for node in tree.nodes] == list(range(len(tree.nodes)))
    for node in tree.nodes[1:]:
        parent = known[node.path[:-1]]
        assert parent.order < node.order
        assert not parent.judged.passed, "nothing below a node that passes"
        assert 1 <= node.depth == len(node.path) <= depth
        assert node.path[-1] < branch
        assert node.path[-1] == 0 or (*node.path[:-1], node.path[-1] - 1) in known
    parents = {node.path[:-1] for node in tree.nodes[1:]}
    for node in tree.nodes:
        family = [path for path in parents if path and path[:-1] == node.path]
        assert strategy == "bfs" or len(family) <= keep
    for level in range(1, depth):
        assert strategy == "dfs" or len([p for p in parents if len(p) == level]) <= keep

    passing = [node for node in tree.nodes if node.judged.passed]
    assert (tree.solution is not None) == bool(passing)
    if tree.solution:
        assert tree.solution.score == max(node.score for node in passing) > 0.5
        assert tree.chosen is tree.solution
    else:
        assert tree.chosen.score == max(node.score for node in tree.nodes)

    assert tree.prompt_tokens == sum(prompt for prompt, _ in spent)
    assert tree.completion_tokens == sum(completion for _, completion in spent)
    again, _ = random_engine(seed)
    assert grow(again, how, seed=seed) == tree and again.requests == engine.requests


def test_bfs_with_the_papers_settings_never_exceeds_15() -> None:
    sizes = {
        grow(random_engine(seed)[0], replace(BFS, budget=99)).refinements for seed in range(60)
    }
    sizes.add(grow(engine_of({}), replace(BFS, budget=99)).refinements)
    assert max(sizes) == 15 and len(sizes) > 3
