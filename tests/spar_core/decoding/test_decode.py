"""What holds for every decoder."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.checked_judging import Task
from spar_core.decoding import DECODERS, SearchSettings, Strategy, Team, decode
from spar_core.engine.protocol import ChatRequest, EngineGone, ItemError, PromptTooLong
from spar_core.engine.scripted import ScriptedEngine
from spar_core.tree import SearchTree
from spar_core.voting import Ballot, count
from tests.spar_core.decoding.scripts import (
    ANSWERING,
    BFS,
    ROOT,
    Paced,
    answer,
    asked,
    grow,
    named,
    paths,
    random_engine,
    responses,
    role_of,
    told,
)

each = pytest.mark.parametrize("strategy", DECODERS)
JUDGING = [strategy for strategy in DECODERS if strategy != "greedy"]


def by(strategy: Strategy) -> SearchSettings:
    return replace(BFS, strategy=strategy)


def test_there_are_five() -> None:
    assert [*DECODERS] == ["greedy", "best_of_n", "iterative", "bfs", "dfs"]


@each
def test_root_that_passes_is_the_solution_and_nothing_is_asked(strategy: Strategy) -> None:
    engine = told()
    tree = grow(engine, by(strategy), root=count([Ballot("Yes", "good")] * 5, 3))
    assert engine.requests == []
    assert responses(tree) == ["r"] and tree.solution is tree.root is tree.chosen
    assert (tree.made, tree.prompt_tokens, tree.completion_tokens) == (0, 0, 0)


@each
@pytest.mark.parametrize("actor", [False, True], ids=["no actor", "no sampling"])
def test_nobody_to_answer_is_said(strategy: Strategy, actor: bool) -> None:
    engine = told()
    team = Team(engine, engine, engine if actor else None)
    answering = None if actor else ANSWERING
    with pytest.raises(ValueError, match="an actor in the team, and `answering`"):
        asyncio.run(decode(team, Task("p"), by(strategy), 1, answering=answering))
    assert engine.requests == []


@pytest.mark.parametrize("strategy", ["bfs", "dfs", "iterative"])
def test_answer_that_passes_is_not_refined(strategy: Strategy) -> None:
    engine = told(answers="r", yes={"r": 3})
    tree = answer(engine, by(strategy))
    assert asked(engine) == [("actor", 1), ("judge", 5)]
    assert tree.solution is tree.root and tree.made == 1


@pytest.mark.parametrize("strategy", ["bfs", "dfs"])
def test_answer_that_fails_is_the_root_of_a_tree_within_the_budget(strategy: Strategy) -> None:
    engine = Paced(told(answers="r", refined={"r": "abc", "a": "de"}))
    tree = answer(engine, replace(by(strategy), budget=6))
    assert asked(engine._script) == [
        ("actor", 1),
        ("judge", 5),
        ("refiner", 3),
        *[("judge", 5)] * 3,
        ("refiner", 2),
        *[("judge", 5)] * 2,
    ]
    assert paths(tree) == [(), (0,), (1,), (2,), (0, 0), (0, 1)]
    assert (tree.made, tree.refinements) == (6, 5), "the answer is one of the six"
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent


@pytest.mark.parametrize("strategy", ["bfs", "dfs", "iterative"])
@pytest.mark.parametrize("role", ["judge", "refiner"])
def test_answer_too_long_to_go_on_with_is_still_an_answer(strategy: Strategy, role: str) -> None:
    inner = told(answers="r")

    def script(request: ChatRequest) -> list[str]:
        if role_of(request) in (role, "refiner"):
            raise PromptTooLong("long")
        return [*inner._script(request)]

    tree = answer(ScriptedEngine(script), by(strategy))
    assert responses(tree) == ["r"] and tree.chosen is tree.root and tree.solution is None


@each
@pytest.mark.parametrize("error", [PromptTooLong("long"), ItemError("x"), EngineGone("gone")])
def test_failure_of_the_first_answer_comes_out(strategy: Strategy, error: Exception) -> None:
    def script(_: ChatRequest) -> list[str]:
        raise error

    with pytest.raises(type(error)) as caught:
        answer(ScriptedEngine(script), by(strategy))
    assert caught.value is error


@pytest.mark.parametrize("strategy", JUDGING)
@pytest.mark.parametrize("error", [ItemError("x"), EngineGone("gone")])
def test_failure_of_an_answers_judgement_comes_out(strategy: Strategy, error: Exception) -> None:
    def script(request: ChatRequest) -> list[str]:
        if role_of(request) == "judge":
            raise error
        return [*"r" * request.n]

    with pytest.raises(type(error)) as caught:
        answer(ScriptedEngine(script), by(strategy))
    assert caught.value is error


@each
@pytest.mark.parametrize("rooted", [False, True])
def test_every_engine_is_asked_for_its_own_part(strategy: Strategy, rooted: bool) -> None:
    parts = {role: random_engine(3)[0] for role in ("refiner", "judge", "actor")}
    asyncio.run(
        decode(
            Team(**parts),
            Task("p"),
            by(strategy),
            1,
            root=(named(()), ROOT) if rooted else None,
            answering=ANSWERING,
        )
    )
    for role, engine in parts.items():
        assert {role_of(request) for request in engine.requests} <= {role}
    assert bool(parts["actor"].requests) != rooted


def most(strategy: Strategy, rooted: bool, budget: int) -> int:
    """How many responses a decoder may make."""
    if strategy == "greedy":
        return min(budget, 1) if rooted else 1
    return budget if rooted else max(1, budget)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 10**6),
    strategy=st.sampled_from([*DECODERS]),
    rooted=st.booleans(),
    budget=st.integers(0, 20),
    stop_votes=st.booleans(),
    counts_malformed=st.booleans(),
    pace=st.integers(1, 5),
)
def test_any_decoder_keeps_its_budget_and_is_the_same_in_any_order_of_completion(
    seed: int,
    strategy: Strategy,
    rooted: bool,
    budget: int,
    stop_votes: bool,
    counts_malformed: bool,
    pace: int,
) -> None:
    how = replace(
        BFS,
        strategy=strategy,
        budget=budget,
        judge=replace(BFS.judge, stop_votes=stop_votes),
        counts_malformed=counts_malformed,
    )

    def run(engine: Paced) -> SearchTree:
        return grow(engine, how, seed=seed) if rooted else answer(engine, how, seed=seed)

    engine = Paced(random_engine(seed)[0])
    tree = run(engine)
    written = sum(request.n for request in engine.asked if role_of(request) != "judge")
    assert tree.written == written >= tree.made
    bounded = tree.written if counts_malformed else tree.made
    assert bounded <= most(strategy, rooted, budget)
    assert tree.is_rooted == rooted and len(tree.nodes) == tree.made + rooted
    assert [node.order for node in tree.nodes] == [*range(len(tree.nodes))]
    assert len({(node.path, node.answer) for node in tree.nodes}) == len(tree.nodes)
    if not stop_votes:
        assert len({request.seed for request in engine.asked}) == len(engine.asked)
    passing = [node for node in tree.nodes if node.judged.passed]
    if passing:
        assert tree.chosen is tree.solution is max(passing, key=lambda n: (n.score, -n.order))
    else:
        assert tree.solution is None
        assert tree.chosen is max(tree.nodes, key=lambda n: (n.score, -n.order))
    assert not {node.path for node in passing} & {
        node.path[:-1] for node in tree.nodes if node.path
    }
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent

    other = Paced(random_engine(seed)[0], turns=lambda request: request.seed * pace % 7)
    assert run(other) == tree
    assert sorted(r.seed for r in other.asked) == sorted(r.seed for r in engine.asked)
