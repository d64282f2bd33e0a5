"""What prompts are assumed to take where nothing was measured."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from spar_core.costs.batching import Clock
from spar_core.costs.fitting import PROMPT_TOKEN, STEP
from spar_core.costs.taken import (
    SAMPLE,
    SEARCH,
    Cast,
    Child,
    Judging,
    Refining,
    Request,
    Taken,
)

_PROMPTS = 256
_SPREAD = 0.4
"""Of the lengths: the sigma of their log-normal distribution."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Means, of tokens and of chances.

    prompt, answer, vote, refinement: their tokens; a refinement's with its reflection.
    template: tokens of what is around a prompt that is judged or refined.
    failing, passing: the chances that a response fails and that a refinement passes.
    agreeing: the chance that a vote says what most say.
    engine: tokens a second of an engine whose slots are full.
    """

    prompt: float = 120
    answer: float = 300
    vote: float = 250
    refinement: float = 450
    template: float = 250
    failing: float = 0.5
    passing: float = 0.3
    agreeing: float = 0.85
    engine: float = 10_000


_CHANCES = ("failing", "passing", "agreeing")


def read(text: str) -> Assumptions:
    """Other assumptions than the default, as `answer=400,failing=0.3`.

    Raises:
        ValueError: there is no such one, or it is no number that it can be.
    """
    known = asdict(Assumptions())
    given: dict[str, float] = {}
    for each in text.split(","):
        name, _, value = (part.strip() for part in each.partition("="))
        if name not in known:
            raise ValueError(f"nothing called {name!r} is assumed; there are {', '.join(known)}")
        most = 1.0 if name in _CHANCES else 1e9
        try:
            given[name] = float(value)
        except ValueError:
            given[name] = -1.0
        if not (0 if name in _CHANCES else 1e-9) <= given[name] <= most:
            wanted = "at least 0 and at most 1" if name in _CHANCES else "over 0"
            raise ValueError(f"{name} must be a number, {wanted}, not {value!r}")
    return replace(Assumptions(), **given)


def values(assumed: Assumptions) -> dict[str, float]:
    """The assumptions by their names."""
    return asdict(assumed)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is asked for each prompt: responses, votes on each, the bounds of a search by BFS."""

    responses: int
    votes: int
    branch: int = 3
    keep: int = 2
    depth: int = 3
    budget: int = 15


def clock(engine: float, slots: int) -> Clock:
    """A common engine's clock that gives so many tokens a second with all slots in use."""
    sequence = slots / engine / (STEP + slots)
    return Clock(STEP * sequence, sequence, PROMPT_TOKEN * sequence)


def taken(
    assumed: Assumptions, bounds: Bounds, stages: Collection[str], seed: int = 0
) -> tuple[Taken, ...]:
    """What some prompts would take if things were as is assumed."""
    drawn = random.Random(f"assumed {seed}")
    return tuple(_Prompt(assumed, bounds, drawn).taken(SEARCH in stages) for _ in range(_PROMPTS))


@dataclass(frozen=True, slots=True)
class _Prompt:
    assumed: Assumptions
    bounds: Bounds
    drawn: random.Random

    def taken(self, is_searched: bool) -> Taken:
        a = self.assumed
        answers = tuple(self._tokens(a.answer) for _ in range(self.bounds.responses))
        judgings = tuple(self._judging(n, self.drawn.random() >= a.failing) for n in answers)
        fails = any(not judging.passed for judging in judgings)
        levels = self._levels() if fails and is_searched else ()
        return Taken(Request(SAMPLE, round(a.prompt), answers), judgings, levels)

    def _levels(self) -> tuple[tuple[Refining, ...], ...]:
        levels: list[tuple[Refining, ...]] = []
        left, parents = self.bounds.budget, 1
        while len(levels) < self.bounds.depth and left > 0:
            shares: list[int] = []
            for _ in range(parents):
                shares.append(min(self.bounds.branch, left))
                left -= shares[-1]
            levels.append(tuple(self._refining(share) for share in shares if share))
            if any(judging.passed for each in levels[-1] for judging in each.judgings):
                break
            parents = min(self.bounds.keep, sum(shares))
        return tuple(levels)

    def _refining(self, branch: int) -> Refining:
        a = self.assumed
        asked = round(a.prompt + a.template + a.answer + a.vote + a.template)
        tokens = [self._tokens(a.refinement) for _ in range(branch)]
        passing = [self.drawn.random() < a.passing for _ in range(branch)]
        return Refining(
            asked,
            tuple(
                Child(each, self._judging(a.answer, passed))
                for each, passed in zip(tokens, passing, strict=True)
            ),
        )

    def _judging(self, answer: float, passed: bool) -> Judging:
        a, text = self.assumed, str(self.drawn.random())
        casts = tuple(
            Cast("Yes" if (self.drawn.random() < a.agreeing) == passed else "No", tokens)
            for tokens in (self._tokens(a.vote) for _ in range(self.bounds.votes))
        )
        return Judging(round(a.prompt + a.template + answer), (casts,), text, passed)

    def _tokens(self, mean: float) -> int:
        longer = self.drawn.lognormvariate(-_SPREAD * _SPREAD / 2, _SPREAD)
        return max(1, round(mean * longer))
