"""Judgements given up, judged once, or not to be had."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.decoding import SearchSettings, Strategy
from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.protocol import (
    ChatRequest,
    Engine,
    ItemError,
    PromptTooLong,
)
from spar_core.engine.scripted import Script, ScriptedEngine
from tests.spar_core.decoding.scripts import (
    BFS,
    DFS,
    ROOT,
    Paced,
    both,
    engine_of,
    failing,
    grow,
    is_refine,
    judged_texts,
    named,
    no_warnings,
    path_of,
    paths,
    random_engine,
    stopped,
    text_of,
    texts_of,
    under,
    votes_on,
)


@both
@pytest.mark.parametrize("passing", [0, 1, 2])
def test_first_child_that_passes_ends_the_search_and_gives_up_its_siblings(
    how: SearchSettings, passing: int
) -> None:
    others = [(i,) for i in range(3) if i != passing]
    engine = Paced(engine_of({(passing,): 3}), votes_on(*others))
    tree = grow(engine, stopped(how))
    assert tree.solution is not None and tree.solution.path == (passing,)
    assert tree.chosen is tree.solution and tree.solution.judged.passed
    assert paths(tree) == [(), *under(())], "siblings not judged are kept"
    assert [path_of(request) for request in engine.cancelled] == others
    for node in tree.nodes[1:]:
        assert node.response == named(node.path) and node.completion_tokens > 0
        if node is not tree.solution:
            assert (node.judged.verdict, node.judged.value) == ("unjudged", None)
            assert node.judged.ballots == () and node.score == 0
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent


@both
def test_siblings_judged_before_the_pass_keep_their_judgement(how: SearchSettings) -> None:
    engine = Paced(
        engine_of({(0,): 2, (2,): 4}), votes_on((1,)), lambda r: 9 if votes_on((2,))(r) else 1
    )
    tree = grow(engine, stopped(how))
    assert [node.judged.verdict for node in tree.nodes] == ["no", "no", "unjudged", "yes"]
    assert tree.nodes[1].judged.yes_votes == 2
    assert tree.solution is tree.nodes[3]


def test_pass_gives_up_the_rest_of_its_level_and_refinements_under_way() -> None:
    engine = Paced(
        engine_of({(0,): 2, (1,): 1, (0, 1): 3}),
        lambda r: (is_refine(r) and path_of(r) == (1,)) or votes_on((0, 2))(r),
    )
    tree = grow(engine, stopped(BFS))
    assert paths(tree) == [(), *under((), (0,))], "what was never refined is no node"
    assert tree.solution is not None and tree.solution.path == (0, 1)
    assert [node.order for node in tree.nodes] == list(range(7))
    assert sorted(map(path_of, engine.cancelled)) == [(0, 2), (1,)]


def test_dfs_ends_below_with_what_is_above_left_unexpanded() -> None:
    engine = Paced(engine_of({(1,): 2, (1, 0): 5}), votes_on((1, 1), (1, 2)))
    tree = grow(engine, stopped(DFS))
    assert paths(tree) == [(), *under((), (1,))]
    assert tree.solution is not None and tree.solution.path == (1, 0)


@both
def test_tree_in_which_nobody_passes_is_the_same_with_stop_level(how: SearchSettings) -> None:
    trees = [grow(Paced(engine_of({(1,): 2, (1, 2): 1})), h) for h in (how, stopped(how))]
    assert trees[0] == trees[1]
    assert trees[0].solution is None and trees[0].refinements == 15


@both
def test_failure_beside_a_pass_under_way_comes_out(how: SearchSettings) -> None:
    inner = failing(ItemError("broken"), votes_on((0,)))
    with no_warnings(), pytest.raises(ItemError):
        grow(Paced(inner, votes_on((1,)), lambda r: 9 if votes_on((2,))(r) else 1), stopped(how))


@both
@pytest.mark.parametrize("judge_once", [False, True])
def test_search_stopped_by_a_pass_replays_what_it_paid_for(
    how: SearchSettings, judge_once: bool, tmp_path: pathlib.Path
) -> None:
    how = replace(stopped(how), judge_once=judge_once)
    never = votes_on((0, 0), (0, 2))
    yes = {(0,): 2, (0, 1): 4}

    class Cut(Exception):
        """The process dies here."""

    def journaled(name: object, inner: Paced) -> Engine:
        return JournaledEngine(inner, Journal(tmp_path / f"{name}.sqlite"), "t")

    whole = Paced(engine_of(yes), never)
    expected = grow(journaled("whole", whole), how)
    assert expected.solution is not None and expected.solution.path == (0, 1)
    paid = len(whole.answered)
    for cut in range(paid):
        script, left = engine_of(yes)._script, cut

        def until_cut(request: ChatRequest, answer: Script = script) -> Sequence[str]:
            nonlocal left
            if not left:
                raise Cut
            left -= 1
            return answer(request)

        with pytest.raises(Cut):
            grow(journaled(cut, Paced(ScriptedEngine(until_cut), never)), how)
        rest = Paced(ScriptedEngine(script), never)
        assert grow(journaled(cut, rest), how) == expected
        assert len(rest.answered) == paid - cut


ONCE = replace(BFS, depth=1, judge_once=True)


@both
def test_equal_siblings_are_judged_once_and_the_copy_costs_nothing(how: SearchSettings) -> None:
    engine = Paced(texts_of({(0,): "a", (1,): "a", (2,): "b"}, {"a": 2}))
    tree = grow(engine, replace(how, depth=1, judge_once=True))
    assert judged_texts(engine) == ["a", "b"]
    first, copy, other = tree.nodes[1:]
    assert first.judged.completion_tokens > 0 and first.judged.prompt_tokens > 0
    assert copy.judged == replace(first.judged, prompt_tokens=0, completion_tokens=0)
    assert copy.completion_tokens > 0, "the refinement itself was paid for"
    assert other.judged.ballots != first.judged.ballots


def test_text_of_the_root_is_not_judged_again() -> None:
    engine = Paced(texts_of({(0,): "r", (1,): "a", (2,): "r"}, {}))
    root = replace(ROOT, prompt_tokens=5, completion_tokens=7)
    tree = grow(engine, ONCE, root=root)
    assert judged_texts(engine) == ["a"]
    for copy in (tree.nodes[1], tree.nodes[3]):
        assert copy.judged == replace(root, prompt_tokens=0, completion_tokens=0)


def test_equal_texts_of_different_levels_are_judged_once() -> None:
    texts = {(0,): "a", (1,): "b", (2,): "c", (0, 0): "b", (0, 1): "d", (0, 2): "r"}
    engine = Paced(texts_of(texts, {"a": 2, "b": 1}))
    tree = grow(engine, replace(ONCE, depth=2, keep=1))
    assert judged_texts(engine) == ["a", "b", "c", "d"]
    assert tree.nodes[4].judged.yes_votes == 1 and tree.nodes[4].judged.completion_tokens == 0


def test_copies_of_what_passes_pass() -> None:
    tree = grow(Paced(texts_of({(0,): "a", (1,): "b", (2,): "a"}, {"a": 4})), ONCE)
    assert tree.solution is tree.nodes[1], "of equals the one made first"
    assert tree.nodes[3].judged.passed


def test_texts_that_differ_at_all_are_judged_each() -> None:
    engine = Paced(texts_of({(0,): "a", (1,): "A", (2,): "a."}, {}))
    grow(engine, ONCE)
    assert judged_texts(engine) == ["A", "a", "a."]


def test_text_of_the_root_is_judged_again_unless_told_otherwise_and_once() -> None:
    engine = Paced(texts_of({(0,): "r", (1,): "a", (2,): "r"}, {}))
    tree = grow(engine, replace(ONCE, judge_once=False))
    assert judged_texts(engine) == ["a", "r"]
    first, _, copy = tree.nodes[1:]
    assert first.judged.completion_tokens > 0
    assert copy.judged == replace(first.judged, prompt_tokens=0, completion_tokens=0)


def test_a_refiner_that_repeats_itself_gets_one_chance() -> None:
    """With Yes in 35 of 100 votes three of five say Yes of 23.5 texts in 100, however often."""
    trees = 400

    def solved(seed: int) -> bool:
        rng = random.Random(seed)

        def answer(request: ChatRequest) -> list[str]:
            if "Final Refined Output" in request.messages[-1]["content"]:
                return ["Final Refined Output: [[start]] the same again [[end]]"] * request.n
            votes = ["Yes" if rng.random() < 0.35 else "No" for _ in range(request.n)]
            return [f"Final Judgement: {vote}" for vote in votes]

        return grow(ScriptedEngine(answer), BFS, seed=seed).solution is not None

    assert 0.18 < sum(map(solved, range(trees))) / trees < 0.29


def test_tokens_of_a_tree_with_copies_are_those_spent() -> None:
    engine = Paced(texts_of({(0,): "a", (1,): "a", (2,): "r"}, {}))
    tree = grow(engine, ONCE)
    assert len(engine.asked) == 2
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent


def test_equal_texts_too_long_to_judge_are_all_unjudged() -> None:
    inner = texts_of({(0,): "a", (1,): "a", (2,): "b"}, {"b": 5})

    def script(request: ChatRequest) -> Sequence[str]:
        if not is_refine(request) and text_of(request) == "a":
            raise PromptTooLong("long")
        return inner._script(request)

    tree = grow(Paced(ScriptedEngine(script)), ONCE)
    assert [node.judged.verdict for node in tree.nodes[1:]] == ["unjudged", "unjudged", "yes"]


def test_failure_is_the_items_while_its_equal_waits() -> None:
    inner = texts_of({(0,): "a", (1,): "a", (2,): "b"}, {})

    def script(request: ChatRequest) -> Sequence[str]:
        if not is_refine(request):
            raise ItemError("broken")
        return inner._script(request)

    with pytest.raises(ItemError, match="broken"):
        grow(Paced(ScriptedEngine(script)), ONCE)


def test_pass_gives_up_equal_texts_that_wait_for_one_another() -> None:
    engine = Paced(
        texts_of({(0,): "a", (1,): "a", (2,): "b"}, {"b": 5}),
        lambda request: not is_refine(request) and text_of(request) == "a",
    )
    tree = grow(engine, stopped(ONCE))
    assert [node.judged.verdict for node in tree.nodes[1:]] == ["unjudged", "unjudged", "yes"]
    assert tree.solution is tree.nodes[3]


def test_judgement_whose_turn_comes_after_the_pass_is_not_asked_for() -> None:
    engine = Paced(
        texts_of({(0,): "a", (1,): "a", (2,): "b"}, {"b": 5}),
        lambda request: not is_refine(request) and text_of(request) == "a",
    )
    grow(engine, stopped(ONCE))
    assert judged_texts(engine) == ["a", "b"]


def test_pass_known_already_ends_the_search_too() -> None:
    """A copy of a text that passes would end it; here the copies are of the pass itself."""
    engine = Paced(texts_of({(0,): "a", (1,): "a", (2,): "a"}, {"a": 5}))
    tree = grow(engine, stopped(ONCE))
    assert len(judged_texts(engine)) == 1
    assert tree.solution is tree.nodes[1]
    assert {node.judged.verdict for node in tree.nodes[2:]} <= {"yes", "unjudged"}


@pytest.mark.parametrize("stop_level", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_judgements_not_asked_for_leave_no_warning(stop_level: bool, fails: bool) -> None:
    inner = texts_of({(0,): "a", (1,): "a", (2,): "r"}, {})

    def script(request: ChatRequest) -> Sequence[str]:
        if fails and not is_refine(request):
            raise ItemError("broken")
        return inner._script(request)

    def run() -> None:
        try:
            grow(Paced(ScriptedEngine(script)), replace(ONCE, stop_level=stop_level))
        except ItemError:
            assert fails

    with no_warnings():
        run()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    strategy=st.sampled_from(["bfs", "dfs"]),
    stop_level=st.booleans(),
    judge_once=st.booleans(),
    stop_votes=st.booleans(),
    pace=st.integers(0, 4),
)
def test_any_search_for_fewer_tokens_ends_and_keeps_its_bounds(
    seed: int, strategy: Strategy, stop_level: bool, judge_once: bool, stop_votes: bool, pace: int
) -> None:
    how = replace(
        BFS,
        strategy=strategy,
        judge=replace(BFS.judge, stop_votes=stop_votes),
        stop_level=stop_level,
        judge_once=judge_once,
    )
    engine = Paced(random_engine(seed)[0], turns=lambda request: request.seed * pace % 7)
    tree = grow(engine, how, seed=seed)

    assert tree.refinements <= 15
    assert len(set(paths(tree))) == len(tree.nodes)
    assert [node.order for node in tree.nodes] == list(range(len(tree.nodes)))
    passing = [node for node in tree.nodes if node.judged.passed]
    assert (tree.solution is not None) == bool(passing)
    if tree.solution:
        assert tree.chosen is tree.solution is max(passing, key=lambda n: (n.score, -n.order))
    unjudged = [node for node in tree.nodes if node.judged.verdict == "unjudged"]
    assert not unjudged or (stop_level and tree.solution)
    assert all(not n.judged.ballots and not n.judged.completion_tokens for n in unjudged)
    parents = {node.path[:-1] for node in tree.nodes[1:]}
    assert not parents & {node.path for node in [*unjudged, *passing]}
    by_text: dict[str, set[object]] = {}
    for node in tree.nodes if judge_once else tree.nodes[1:]:
        if node.judged.verdict != "unjudged":
            by_text.setdefault(node.response, set()).add(node.judged.ballots)
    assert all(len(ballots) == 1 for ballots in by_text.values())
    prompt, completion = engine.spent
    if stop_level and tree.solution:
        assert tree.prompt_tokens <= prompt, "answers to what was given up are in no node"
        assert tree.completion_tokens <= completion
    else:
        assert (tree.prompt_tokens, tree.completion_tokens) == (prompt, completion)
        if not (judge_once or stop_votes):  # whichever of equal texts is asked about first
            assert tree == grow(random_engine(seed)[0], replace(BFS, strategy=strategy), seed=seed)
