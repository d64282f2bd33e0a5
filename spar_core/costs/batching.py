"""A continuous batch: which requests an engine decodes side by side, counted in its own steps.

A step gives every running sequence a token and lasts t0 + per_sequence * running seconds; a prompt
is read at a pace of its own. What follows what does not depend on how long these are, so that a
batch is gone through once, and its time follows for any clock.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from spar_core.costs.taken import Request, Steps

IN_PROGRESS = 4
"""Items in progress for each slot (`pipelines.execution.inference.IN_FLIGHT`)."""


@dataclass(frozen=True, slots=True)
class Clock:
    """An engine's times, in seconds: of a step, of each sequence in it, of a prompt's token.

    prompt_token: on the average of those that a prefix cache serves and those that it does not.
    """

    step: float
    sequence: float
    prompt_token: float


@dataclass(slots=True)
class Span:
    """Of a span of time: steps, and the tokens that were decoded and read in it."""

    steps: int = 0
    tokens: int = 0
    prompt_tokens: int = 0

    def add(self, steps: int, running: int, prompt_tokens: int) -> None:
        self.steps += steps
        self.tokens += steps * running
        self.prompt_tokens += prompt_tokens

    def seconds(self, clock: Clock, engines: int = 1) -> float:
        """How long it took, the tokens shared evenly by so many engines."""
        shared = clock.sequence * self.tokens + clock.prompt_token * self.prompt_tokens
        return clock.step * self.steps + shared / engines


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch came to. busy: by stage, while a request of it was in flight."""

    whole: Span
    busy: dict[str, Span]


@dataclass(slots=True)
class _Item:
    """An item in progress: its steps, which is next, and the sequences that it waits for."""

    steps: Steps
    next: int = 0
    left: int = 0


@dataclass(slots=True)
class _Engine:
    """The sequences that wait, and those that run by the step at which they end."""

    slots: int
    waiting: deque[tuple[int, int, Request, _Item]] = field(default_factory=deque)
    running: list[tuple[int, int, str, _Item]] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    admitted: int = 0

    def ask(self, item: _Item) -> bool:
        """Ask what is an item's next step; False where there is none."""
        while item.next < len(item.steps):
            for request in item.steps[item.next]:
                for number, tokens in enumerate(request.answers):
                    prompt = 0 if number or request.is_known else request.prompt_tokens
                    self.waiting.append((max(1, tokens), prompt, request, item))
                    item.left += 1
                self.in_flight[request.stage] += len(request.answers)
            item.next += 1
            if item.left:
                return True
        return False

    def admit(self, now: int) -> int:
        """Fill the free slots; returns the tokens of the prompts that are read for it."""
        read = 0
        while self.waiting and len(self.running) < self.slots:
            tokens, prompt, request, item = self.waiting.popleft()
            self.admitted += 1
            heapq.heappush(self.running, (now + tokens, self.admitted, request.stage, item))
            read += prompt
        return read


def batch(items: Sequence[Steps], slots: int) -> Batch:
    """Go through items, so many of them in progress at once that the slots stay full."""
    engine, pending = _Engine(slots), iter(items)
    in_progress = sum(_begin(engine, pending) for _ in range(IN_PROGRESS * slots))
    found, now = Batch(Span(), {}), 0
    while in_progress:
        read = engine.admit(now)
        end = engine.running[0][0]
        spans = [found.busy.setdefault(s, Span()) for s, n in engine.in_flight.items() if n]
        for span in (found.whole, *spans):
            span.add(end - now, len(engine.running), read)
        now = end
        while engine.running and engine.running[0][0] == now:
            _, _, stage, item = heapq.heappop(engine.running)
            engine.in_flight[stage] -= 1
            item.left -= 1
            if not item.left and not engine.ask(item):
                in_progress -= 1
                in_progress += _begin(engine, pending)
    return found


def _begin(engine: _Engine, pending: Iterator[Steps]) -> bool:
    """Begin the next item that asks anything; False where there is none."""
    return any(engine.ask(_Item(steps)) for steps in pending)
