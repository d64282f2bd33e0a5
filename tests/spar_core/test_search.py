"""Exact trees from a scripted engine: which nodes, in which order, from which requests."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.conversation import refine_grammar, refine_messages
from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Engine,
    EngineGone,
    ItemError,
    PromptTooLong,
    Sampling,
    seed_of,
)
from spar_core.engine.scripted import Script, ScriptedEngine
from spar_core.search import REFINE_ROUNDS, SearchSettings, Strategy, search
from spar_core.tree import SearchTree
from spar_core.voting import Ballot, Judged, JudgeSettings, count

BFS = SearchSettings(JudgeSettings(Sampling(0.7, 1.0, 2048)), Sampling(0.7, 1.0, 3072))
DFS = replace(BFS, strategy="dfs")
ROOT = count([Ballot("No", "root critique")] * 5, quorum=3)
MALFORMED = "Reflection: I forgot the markers."

Path = tuple[int, ...]
Which = Callable[[ChatRequest], bool]
Yes = dict[Path, int]
"""Yes votes (of 5) of nodes by their path; others get 0."""


def named(path: Iterable[int]) -> str:
    """The response of the node at a path: r, r.0, r.0.1, ..."""
    return ".".join(["r", *map(str, path)])


def path_of(request: ChatRequest) -> Path:
    """The path of the node a request is about."""
    found = re.search(r'Output: "r([.\d]*)"', request.messages[0]["content"])
    assert found
    return tuple(int(number) for number in found.group(1).split(".") if number)


def is_refine(request: ChatRequest) -> bool:
    return len(request.messages) == 3


def refinement(path: Path) -> str:
    return f"Reflection on how to refine the Output: to {named(path)}\n" + (
        f"Final Refined Output: [[start]] {named(path)} [[end]]"
    )


def votes(yes: int, path: Path, n: int = 5) -> list[str]:
    return [f"{named(path)}\nFinal Judgement: {'Yes' if i < yes else 'No'}" for i in range(n)]


def engine_of(yes: Yes | Callable[[Path], int]) -> ScriptedEngine:
    """Every refinement is readable; the votes are given."""
    share = yes if callable(yes) else lambda path: yes.get(path, 0)
    made: dict[Path, int] = {}

    def script(request: ChatRequest) -> list[str]:
        path = path_of(request)
        if not is_refine(request):
            return votes(share(path), path, request.n)
        first = made.get(path, 0)
        made[path] = first + request.n
        return [refinement((*path, first + i)) for i in range(request.n)]

    return ScriptedEngine(script)


def grow(
    engine: Engine, how: SearchSettings = BFS, root: Judged = ROOT, seed: int = 1
) -> SearchTree:
    async def main() -> SearchTree:
        async with asyncio.timeout(30):
            tree = await search(engine, "p", named(()), root, how, seed)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, "a search leaves nothing running"
        return tree

    return asyncio.run(main())


def paths(tree: SearchTree) -> list[Path]:
    return [node.path for node in tree.nodes]


def expanded(engine: ScriptedEngine) -> list[Path]:
    return [path_of(request) for request in engine.requests if is_refine(request)]


def under(*parents: Path) -> list[Path]:
    """The three children of each parent."""
    return [(*parent, i) for parent in parents for i in range(3)]


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


def malformed(rounds: Sequence[Sequence[bool]]) -> ScriptedEngine:
    """The root's refinements in each round: readable or not."""
    left = list(rounds)
    made = 0

    def script(request: ChatRequest) -> list[str]:
        nonlocal made
        if not is_refine(request):
            return votes(0, path_of(request))
        texts = []
        for good in left.pop(0):
            texts.append(refinement((made,)) if good else MALFORMED)
            made += good
        assert len(texts) == request.n
        return texts

    return ScriptedEngine(script)


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


def test_root_is_chosen_where_it_is_the_best() -> None:
    root = count([Ballot("Yes", "y"), Ballot("Yes", "y"), *[Ballot("No", "n")] * 3], 3)
    tree = grow(engine_of({(0,): 1}), root=root)
    assert tree.solution is None and tree.chosen is tree.root


def test_best_child_is_chosen_where_none_passes() -> None:
    tree = grow(engine_of({(0, 1): 2}))
    assert tree.solution is None and tree.chosen.path == (0, 1)


def test_child_without_quorum_never_wins() -> None:
    def script(request: ChatRequest) -> list[str]:
        path = path_of(request)
        if is_refine(request):
            return [refinement((*path, i)) for i in range(request.n)]
        return [*votes(2, path, 2), "?", "?", "?"] if path[-1] == 0 else votes(1, path)

    engine = ScriptedEngine(script)
    tree = grow(engine)
    assert tree.nodes[1].judged.verdict == "no_quorum" and tree.nodes[1].judged.value == 1.0
    assert tree.solution is None and tree.chosen.path == (1,)
    assert (0,) not in expanded(engine)


def test_tie_does_not_pass() -> None:
    how = replace(BFS, depth=1, judge=replace(BFS.judge, votes=4))
    tree = grow(engine_of({(0,): 2}), how)
    assert tree.nodes[1].judged.verdict == "tie"
    assert tree.solution is None and tree.chosen.path == (0,)


def failing(error: Exception, when: Callable[[ChatRequest], bool]) -> ScriptedEngine:
    inner = engine_of({})

    def script(request: ChatRequest) -> Sequence[str]:
        if when(request):
            raise error
        return inner._script(request)

    return ScriptedEngine(script)


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


def prompt_tokens(request: ChatRequest) -> int:
    return sum(len(m["content"]) for m in request.messages) // 4


def random_engine(seed: int) -> tuple[ScriptedEngine, list[tuple[int, int]]]:
    """Votes, some unreadable, and refinements, some malformed, drawn from the request alone.

    The list takes the tokens of each answer.
    """
    spent: list[tuple[int, int]] = []

    def script(request: ChatRequest) -> list[str]:
        texts = []
        for i in range(request.n):
            drawn = seed_of(seed, request.seed, i) % 100
            if is_refine(request):
                path = (*path_of(request), drawn)
                texts.append(refinement(path) if drawn < 80 else MALFORMED)
            elif drawn < 10:
                texts.append("no verdict")
            else:
                texts.append("Final Judgement: " + ("Yes" if drawn < 42 else "No"))
        spent.append((prompt_tokens(request), sum(max(1, len(text) // 4) for text in texts)))
        return texts

    return ScriptedEngine(script), spent


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


class Paced:
    """Answers as a script does, each request after some turns of the loop, some never."""

    name = "paced"

    def __init__(
        self,
        script: ScriptedEngine,
        never: Which = lambda _: False,
        turns: Callable[[ChatRequest], int] = lambda _: 1,
    ) -> None:
        self._script = script
        self._never = never
        self._turns = turns
        self.asked: list[ChatRequest] = []
        self.cancelled: list[ChatRequest] = []
        self.spent = (0, 0)

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append(request)
        try:
            if self._never(request):
                await asyncio.Event().wait()
            for _ in range(self._turns(request)):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        answer = await self._script.chat(request)
        prompt, completion = self.spent
        self.spent = (prompt + answer.prompt_tokens, completion + answer.completion_tokens)
        return answer

    @property
    def answered(self) -> list[ChatRequest]:
        return self._script.requests


def votes_on(*of: Path) -> Which:
    """Requests for votes on these nodes."""
    return lambda request: not is_refine(request) and path_of(request) in of


@contextmanager
def no_warnings() -> Iterator[None]:
    """The body leaves no coroutine behind that was never awaited."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    said = [str(warning.message) for warning in caught]
    assert [text for text in said if "never awaited" in text] == []


def stopped(how: SearchSettings) -> SearchSettings:
    return replace(how, stop_level=True)


both = pytest.mark.parametrize("how", [BFS, DFS], ids=["bfs", "dfs"])


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


def texts_of(texts: dict[Path, str], yes: dict[str, int]) -> ScriptedEngine:
    """Refinements of a node by its path, and yes votes of texts."""
    made: dict[str, int] = {}
    paths: dict[str, Path] = {"r": ()}
    for path, text in texts.items():
        paths.setdefault(text, path)

    def script(request: ChatRequest) -> list[str]:
        text = text_of(request)
        if not is_refine(request):
            return [
                f"{text}\nFinal Judgement: {'Yes' if i < yes.get(text, 0) else 'No'}"
                for i in range(request.n)
            ]
        first = made.get(text, 0)
        made[text] = first + request.n
        numbers = range(first, first + request.n)
        return [f"[[start]] {texts[(*paths[text], i)]} [[end]]" for i in numbers]

    return ScriptedEngine(script)


def text_of(request: ChatRequest) -> str:
    found = re.search('Output: "(.*)"', request.messages[0]["content"])
    assert found
    return found.group(1)


def judged_texts(engine: Paced) -> list[str]:
    return sorted(text_of(request) for request in engine.asked if not is_refine(request))


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


def test_equal_texts_are_judged_each_unless_told_otherwise() -> None:
    engine = Paced(texts_of({(0,): "r", (1,): "a", (2,): "a"}, {}))
    tree = grow(engine, replace(ONCE, judge_once=False))
    assert judged_texts(engine) == ["a", "a", "r"]
    assert all(node.judged.completion_tokens for node in tree.nodes[1:])


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
    if judge_once:
        by_text: dict[str, set[object]] = {}
        for node in tree.nodes:
            if node.judged.verdict != "unjudged":
                by_text.setdefault(node.response, set()).add(node.judged.ballots)
        assert all(len(ballots) == 1 for ballots in by_text.values())
    prompt, completion = engine.spent
    if stop_level and tree.solution:
        assert tree.prompt_tokens <= prompt, "answers to what was given up are in no node"
        assert tree.completion_tokens <= completion
    else:
        assert (tree.prompt_tokens, tree.completion_tokens) == (prompt, completion)
        if not (judge_once or stop_votes):
            assert tree == grow(random_engine(seed)[0], replace(BFS, strategy=strategy), seed=seed)
