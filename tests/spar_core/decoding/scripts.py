"""Engines that act out trees: which node a request is about can be read from it."""

from __future__ import annotations

import asyncio
import gc
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from spar_core.checked_judging import Task
from spar_core.decoding import SearchSettings, Team, decode
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Engine,
    Sampling,
    seed_of,
)
from spar_core.engine.scripted import ScriptedEngine
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
            tree = await decode(Team(engine, engine), Task("p"), how, seed, root=(named(()), root))
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


def failing(error: Exception, when: Callable[[ChatRequest], bool]) -> ScriptedEngine:
    inner = engine_of({})

    def script(request: ChatRequest) -> Sequence[str]:
        if when(request):
            raise error
        return inner._script(request)

    return ScriptedEngine(script)


def prompt_tokens(request: ChatRequest) -> int:
    return sum(len(m["content"]) for m in request.messages) // 4


def random_engine(seed: int) -> tuple[ScriptedEngine, list[tuple[int, int]]]:
    """Answers, votes, some unreadable, and refinements, some malformed, drawn from the request.

    The list takes the tokens of each answer.
    """
    spent: list[tuple[int, int]] = []

    def script(request: ChatRequest) -> list[str]:
        texts = []
        for i in range(request.n):
            drawn = seed_of(seed, request.seed, i) % 100
            if role_of(request) == "actor":
                texts.append(named((drawn,)))
            elif is_refine(request):
                path = (*path_of(request), drawn)
                texts.append(refinement(path) if drawn < 80 else MALFORMED)
            elif drawn < 10:
                texts.append("no verdict")
            else:
                texts.append("Final Judgement: " + ("Yes" if drawn < 42 else "No"))
        spent.append((prompt_tokens(request), sum(max(1, len(text) // 4) for text in texts)))
        return texts

    return ScriptedEngine(script), spent


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


def told(
    answers: Sequence[str] = (),
    refined: dict[str, Sequence[str]] | None = None,
    yes: dict[str, int] | None = None,
) -> ScriptedEngine:
    """The actor's answers; refinements of a text, in turn; yes votes (of 5) of texts.

    A refinement that is `MALFORMED` is sent as it is.
    """
    left = {text: list(texts) for text, texts in (refined or {}).items()}

    def script(request: ChatRequest) -> list[str]:
        if role_of(request) == "actor":
            return list(answers[: request.n])
        text = text_of(request)
        if role_of(request) == "judge":
            return [
                f"{text}\nFinal Judgement: {'Yes' if i < (yes or {}).get(text, 0) else 'No'}"
                for i in range(request.n)
            ]
        drawn = [left[text].pop(0) for _ in range(request.n)]
        return [text if text == MALFORMED else f"[[start]] {text} [[end]]" for text in drawn]

    return ScriptedEngine(script)


def role_of(request: ChatRequest) -> str:
    if is_refine(request):
        return "refiner"
    return "judge" if 'Output: "' in request.messages[0]["content"] else "actor"


def asked(engine: ScriptedEngine) -> list[tuple[str, int]]:
    """Who was asked, and for how many answers."""
    return [(role_of(request), request.n) for request in engine.requests]


ANSWERING = Sampling(0.9, 0.9, 1024)


def answer(
    engine: Engine, how: SearchSettings, seed: int = 1, team: Team | None = None
) -> SearchTree:
    """Decode without a root."""

    async def main() -> SearchTree:
        async with asyncio.timeout(30):
            return await decode(
                team or Team(engine, engine, engine), Task("p"), how, seed, answering=ANSWERING
            )

    return asyncio.run(main())


def responses(tree: SearchTree) -> list[str]:
    return [node.response for node in tree.nodes]
