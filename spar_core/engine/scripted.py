"""An engine that answers from a script: for exact trees, and for the cost of all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spar_core.engine.meter import Meter
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Choice

Script = Callable[[ChatRequest], Sequence[str | Choice]]
"""Gives the n answers to a request; may raise what an engine may raise.

A text is an answer that ended by itself; a `Choice` says how it ended.
"""


class ScriptedEngine:
    """Answers at once with what the script says, and remembers what it was asked."""

    def __init__(
        self,
        script: Script,
        meter: Meter | None = None,
        *,
        remember: bool = True,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self._script = script
        self._meter = meter or Meter()
        self._remember = remember
        self.requests: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        if self._remember:
            self.requests.append(request)
        choices = tuple(
            each if isinstance(each, Choice) else Choice(each, "stop", max(1, len(each) // 4))
            for each in self._script(request)
        )
        answer = ChatAnswer(choices, sum(len(m["content"]) for m in request.messages) // 4)
        self._meter.count(
            requests=1,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
        return answer

    async def close(self) -> None:
        """Nothing is open."""
