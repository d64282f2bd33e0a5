"""Judging: votes on the responses of a tree, apart from what makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from spar_core.checked_judging import Task, judge_checked, run_checks, with_checks
from spar_core.decoding.tasks import unless
from spar_core.engine.protocol import Engine, PromptTooLong, seed_of
from spar_core.voting import UNJUDGED, Judged, JudgeSettings


@dataclass(slots=True)
class Judging:
    """Judges the responses of one tree; equal ones once, as the authors' code does.

    Were they judged anew, a refiner that repeats one text would have it pass sooner or later. The
    seed of a judgement follows from the text, so that it is the same whichever copy is first.

    seed: of the tree. known: judgements by the text of the response, without white space round it.
    """

    engine: Engine
    task: Task
    settings: JudgeSettings
    seed: int
    known: dict[str, Judged] = field(default_factory=dict)
    _paid: set[str] = field(default_factory=set)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def take(self, response: str, judged: Judged) -> None:
        """Have a judgement that was paid for elsewhere count for all copies of its response."""
        self.known[response.strip()] = judged
        self._paid.add(response.strip())

    async def judgement(self, response: str, passed: asyncio.Event | None) -> Judged:
        """What votes and checks say of a response; "unjudged" where it is too long to be judged.

        Args:
            passed: set by the first response that passes; judgements not made by then are given
                up, and the verdict is "unjudged".
        """

        text = response.strip()

        async def ask() -> Judged | None:
            if passed and passed.is_set():
                return None
            seed = seed_of(self.seed, "judge", text)
            votes = judge_checked(self.engine, self.task, response, self.settings, seed)
            return await unless(passed, votes)

        try:
            found = await self._known_or(ask, text)
        except PromptTooLong:
            found = None
        if passed and found and found.passed:
            passed.set()
        return found or await self.unjudged(response)

    async def unjudged(self, response: str) -> Judged:
        """A response on which no votes are asked; its checks are run all the same."""
        found = await run_checks(self.task, response)
        return with_checks(UNJUDGED, self.task, response, found, self.settings, self.seed)

    async def _known_or(
        self, ask: Callable[[], Coroutine[Any, Any, Judged | None]], text: str
    ) -> Judged | None:
        """The judgement known of this very text, else a new one."""
        async with self._locks.setdefault(text, asyncio.Lock()):
            if text not in self.known and (found := await ask()):
                self.known[text] = found
            return self.known.get(text)

    def paid(self, response: str, judged: Judged) -> Judged:
        """The judgement with its tokens for the first node that bears it, without for its copies.

        To be called once for every node, in the order of the nodes.
        """
        text = response.strip()
        is_copy = text in self._paid
        if judged.verdict != "unjudged":
            self._paid.add(text)
        return replace(judged, prompt_tokens=0, completion_tokens=0) if is_copy else judged
