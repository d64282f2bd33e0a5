"""Judging: votes on the responses of a tree, apart from what makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from spar_core.decoding.tasks import unless
from spar_core.engine.protocol import Engine, PromptTooLong
from spar_core.voting import UNJUDGED, Judged, JudgeSettings, judge


@dataclass(slots=True)
class Judging:
    """Judges the responses to one prompt.

    once: whether equal responses are judged once. known: judgements by the text of the response.
    """

    engine: Engine
    prompt: str
    settings: JudgeSettings
    once: bool
    known: dict[str, Judged] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def judgement(self, response: str, seed: int, passed: asyncio.Event | None) -> Judged:
        """What the votes say of a response; `UNJUDGED` where it is too long to be judged.

        Args:
            passed: set by the first response that passes; judgements not made by then are given
                up and are `UNJUDGED`.
        """

        async def ask() -> Judged | None:
            if passed and passed.is_set():
                return None
            votes = judge(self.engine, self.prompt, response, self.settings, seed)
            return await unless(passed, votes)

        try:
            found = await (self._known_or(ask, response) if self.once else ask())
        except PromptTooLong:
            return UNJUDGED
        if passed and found and found.passed:
            passed.set()
        return found or UNJUDGED

    async def _known_or(
        self, ask: Callable[[], Coroutine[Any, Any, Judged | None]], response: str
    ) -> Judged | None:
        """The judgement known of this very text, which costs nothing more, else a new one."""
        async with self._locks.setdefault(response, asyncio.Lock()):
            if response in self.known:
                return replace(self.known[response], prompt_tokens=0, completion_tokens=0)
            found = await ask()
            if found:
                self.known[response] = found
            return found
