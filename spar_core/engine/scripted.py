"""An engine that answers from a script: for exact trees, and for the cost of all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spar_core.engine.meter import Meter
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Choice

Script = Callable[[ChatRequest], Sequence[str]]
"""Gives the n answers to a request; may raise what an engine may raise."""


class ScriptedEngine:
    """Answers at once with what the script says, and remembers what it was asked."""

    name = "scripted"

    def __init__(
        self, script: Script, meter: Meter | None = None, *, remember: bool = True
    ) -> None:
        self._script = script
        self._meter = meter or Meter()
        self._remember = remember
        self.requests: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        if self._remember:
            self.requests.append(request)
        texts = self._script(request)
        choices = tuple(Choice(text, "stop", max(1, len(text) // 4)) for text in texts)
        answer = ChatAnswer(choices, sum(len(m["content"]) for m in request.messages) // 4)
        self._meter.count(
            requests=1,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
        return answer

    async def close(self) -> None:
        """Nothing is open."""
