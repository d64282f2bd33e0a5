"""Tree search over refinements of a failing response (paper, section 2.3.2).

A node is expanded into `branch` refinements, asked for in one request; every child is judged by
votes. The search ends with the first set of siblings (DFS) or level (BFS) whose best child passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from spar_core.conversation import Refinement, read_refinement, refine_grammar, refine_messages
from spar_core.engine.protocol import (
    ChatRequest,
    Choice,
    Engine,
    PromptTooLong,
    Sampling,
    seed_of,
)
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import UNJUDGED, Judged, JudgeSettings, judge

T = TypeVar("T")
Strategy = Literal["bfs", "dfs"]

REFINE_ROUNDS = 3
"""How often refinements are asked for until all siblings have a readable one."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The bounds of a search.

    keep: how many nodes go on: of a level (BFS) or of a node's children (DFS).
    budget: refinements a tree may have in all.
    constrained: whether a grammar holds refinements to the wire format.
    stop_level: whether the first child that passes ends the search, its level's other judgements
        given up; else the best of the level is waited for.
    judge_once: whether a response that the tree holds already takes over its judgement.
    """

    judge: JudgeSettings
    sampling: Sampling
    strategy: Strategy = "bfs"
    branch: int = 3
    keep: int = 2
    depth: int = 3
    budget: int = 15
    constrained: bool = False
    stop_level: bool = False
    judge_once: bool = False


async def search(
    engine: Engine, prompt: str, response: str, judged: Judged, settings: SearchSettings, seed: int
) -> SearchTree:
    """Refine a failing response until a refinement passes or the bounds are reached.

    Args:
        response, judged: the root and the judgement it got.

    Raises:
        ItemError: a request of the search could not be answered.
    """
    tree = SearchTree([TreeNode((), 0, response, "", judged)])
    grower = _Grower(engine, prompt, settings, seed, tree)
    await (_breadth_first if settings.strategy == "bfs" else _depth_first)(grower)
    return tree


async def _breadth_first(grower: _Grower) -> None:
    level: Sequence[TreeNode] = [grower.tree.root]
    for _ in range(grower.settings.depth):
        children = await grower.expand(level)
        if not children:
            return
        ranked = _ranked(children)
        if ranked[0].judged.passed:
            grower.tree.solution = ranked[0]
            return
        level = ranked[: grower.settings.keep]


async def _depth_first(grower: _Grower) -> None:
    stack = [grower.tree.root]
    while stack:
        node = stack.pop()
        if node.depth >= grower.settings.depth:
            continue
        ranked = _ranked(await grower.expand([node]))
        if ranked and ranked[0].judged.passed:
            grower.tree.solution = ranked[0]
            return
        stack.extend(reversed(ranked[: grower.settings.keep]))


def _ranked(nodes: Sequence[TreeNode]) -> list[TreeNode]:
    """Best first; of equals the one made first."""
    return sorted(nodes, key=lambda node: (-node.score, node.order))


@dataclass(slots=True)
class _Draft:
    """A refinement that is not judged yet."""

    refinement: Refinement
    prompt_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class _Grower:
    """Adds children to a tree within its budget."""

    engine: Engine
    prompt: str
    settings: SearchSettings
    seed: int
    tree: SearchTree
    judged: dict[str, Judged] = field(init=False)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.judged = {self.tree.root.response: self.tree.root.judged}

    async def expand(self, parents: Sequence[TreeNode]) -> list[TreeNode]:
        """The judged children of all parents; siblings and judgements are asked for at once."""
        left = self.settings.budget - self.tree.refinements
        shares = []
        for _ in parents:
            shares.append(min(self.settings.branch, left))
            left -= shares[-1]
        passed = asyncio.Event() if self.settings.stop_level else None
        grown = await _all(
            self._grow(parent, share, passed)
            for parent, share in zip(parents, shares, strict=True)
            if share > 0
        )
        children = []
        for parent, siblings in zip(parents, grown, strict=False):
            for number, (draft, judged) in enumerate(siblings):
                child = TreeNode(
                    path=(*parent.path, number),
                    order=len(self.tree.nodes),
                    response=draft.refinement.response,
                    reflection=draft.refinement.reflection,
                    judged=judged,
                    prompt_tokens=draft.prompt_tokens,
                    completion_tokens=draft.completion_tokens,
                )
                self.tree.nodes.append(child)
                children.append(child)
        return children

    async def _grow(
        self, parent: TreeNode, share: int, passed: asyncio.Event | None
    ) -> list[tuple[_Draft, Judged]]:
        drafts = await _unless(passed, self._refine(parent, share)) or []
        judgements = await _all(
            self._judge(draft.refinement.response, parent.path, number, passed)
            for number, draft in enumerate(drafts)
        )
        return list(zip(drafts, judgements, strict=True))

    async def _refine(self, parent: TreeNode, share: int) -> list[_Draft]:
        """Up to `share` readable refinements; unreadable ones are asked for again, in rounds."""
        drafts: list[_Draft] = []
        for attempt in range(REFINE_ROUNDS):
            if len(drafts) == share:
                break
            limit = self.settings.sampling.max_tokens
            try:
                answer = await self.engine.chat(
                    ChatRequest(
                        messages=tuple(
                            refine_messages(self.prompt, parent.response, parent.judged.critique)
                        ),
                        sampling=self.settings.sampling,
                        n=share - len(drafts),
                        seed=seed_of(self.seed, "refine", parent.path, attempt),
                        grammar=refine_grammar(limit) if self.settings.constrained else None,
                    )
                )
            except PromptTooLong:
                if parent.depth == 0:
                    raise
                break  # a conversation that outgrew the context is a dead end, not a failure
            self._sort(answer.choices, answer.prompt_tokens, drafts)
        return drafts

    def _sort(self, choices: Sequence[Choice], prompt_tokens: int, drafts: list[_Draft]) -> None:
        """Readable refinements join the drafts, the first bearing the request's prompt tokens."""
        for choice in choices:
            refinement = read_refinement(choice.text)
            if refinement is None:
                self.tree.malformed += 1
                self.tree.malformed_completion_tokens += choice.tokens
            else:
                drafts.append(_Draft(refinement, prompt_tokens, choice.tokens))
                prompt_tokens = 0
        self.tree.malformed_prompt_tokens += prompt_tokens

    async def _judge(
        self, response: str, parent: tuple[int, ...], number: int, passed: asyncio.Event | None
    ) -> Judged:
        seed = seed_of(self.seed, "judge", parent, number)

        async def ask() -> Judged | None:
            if passed and passed.is_set():
                return None
            question = judge(self.engine, self.prompt, response, self.settings.judge, seed)
            return await _unless(passed, question)

        try:
            judged = await (self._judge_once(response, ask) if self.settings.judge_once else ask())
        except PromptTooLong:
            return UNJUDGED
        if passed and judged and judged.passed:
            passed.set()
        return judged or UNJUDGED

    async def _judge_once(
        self, response: str, ask: Callable[[], Coroutine[Any, Any, Judged | None]]
    ) -> Judged | None:
        """The judgement that the tree holds of this very text, else a new one."""
        async with self.locks.setdefault(response, asyncio.Lock()):
            if response in self.judged:
                return replace(self.judged[response], prompt_tokens=0, completion_tokens=0)
            judged = await ask()
            if judged:
                self.judged[response] = judged
            return judged


async def _all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in order; where one fails the others are cancelled at once."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _unless(given_up: asyncio.Event | None, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work, or None where the event came first; the work is cancelled then."""
    if given_up is None:
        return await work
    task, signal = asyncio.ensure_future(work), asyncio.ensure_future(given_up.wait())
    try:
        await asyncio.wait({task, signal}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        signal.cancel()
