"""Prompts with requests of random lengths, drawn by a seed."""

from __future__ import annotations

import random

from spar_core.costs.taken import SAMPLE, Cast, Child, Judging, Refining, Request, Taken


def drawn(prompts: int, seed: int = 0) -> list[Taken]:
    """Prompts with five responses, five votes on each, and a search of one to three levels."""
    random_ = random.Random(seed)
    return [_prompt(random_) for _ in range(prompts)]


def _prompt(random_: random.Random) -> Taken:
    judgings = tuple(judging(random_) for _ in range(5))
    levels = []
    for depth in range(random_.randint(1, 3)):
        levels.append(tuple(_refining(random_) for _ in range(2 if depth else 1)))
    return Taken(Request(SAMPLE, 80, _tokens(random_, 5, 220)), judgings, tuple(levels))


def judging(random_: random.Random, says_yes: float = 0.3) -> Judging:
    casts = tuple(
        Cast("Yes" if random_.random() < says_yes else "No", tokens)
        for tokens in _tokens(random_, 5, 170)
    )
    passed = sum(cast.vote == "Yes" for cast in casts) > 2
    return Judging(300, (casts,), str(random_.random()), passed)


def _refining(random_: random.Random) -> Refining:
    tokens = _tokens(random_, 3, 270)
    return Refining(600, tuple(Child(each, judging(random_)) for each in tokens))


def _tokens(random_: random.Random, count: int, mean: float) -> tuple[int, ...]:
    return tuple(max(1, round(mean * random_.lognormvariate(-0.08, 0.4))) for _ in range(count))
