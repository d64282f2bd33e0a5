"""Meta-judging: two ratings of one response compared, and what many battles say of each rating.

Both orders are asked for, and a win counts by the place it was won in: where whoever compares
mostly says that the first is better, being first and winning is worth little (arXiv 2407.19594).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from spar_core.chat import TextOrChat, shown
from spar_core.conversation import hashed, verdict_grammar
from spar_core.engine.protocol import Message
from spar_core.filters.library import needed
from spar_core.rating import HIGHEST

Side = Literal["first", "second"]

COMPARE = """\
Two graders gave the same Response a score from 0 to {highest}, a point for each of these that \
holds: it deals with the subject; it does a good part of what is asked; it does all of it; it \
keeps to every limit that the Prompt sets and is clear; nothing in it needs a change. Decide which \
grader did the better work: whose reasons are true of the Response, miss nothing that matters, and \
lead to the score that was given.

Prompt: "{prompt}"

Response: "{response}"

Grader A wrote: "{first}"

Grader B wrote: "{second}"

Neither the order of the two nor their length counts. Give your reasons, then the decision. Answer \
in this form:
Comparison: ...
Better grader: <the letter>"""

_REASONS = "Comparison:"
_BETTER = "Better grader:"
_SAID_BETTER = re.compile(
    r"(?i:better\s+grader)[\s*_]*[:：][\s*_<\[(\"{$]*(?:\\boxed\{)?(?i:grader\s+)?"
    r"([AB])\b(?!\s*(?:/|(?i:or|and|tie|draw)\b))"
)

_SIDES: dict[str, Side] = {"A": "first", "B": "second"}
_ELO = 400 / math.log(10)
"""Elo points for a unit of log-odds."""
_PRIOR = 0.01
"""Keeps the Elo of a rating that wins or loses all its battles finite."""


def compare_messages(prompt: TextOrChat, response: str, first: str, second: str) -> list[Message]:
    """The conversation that asks which of two ratings is better."""
    texts = {"prompt": shown(prompt), "response": response, "first": first, "second": second}
    return [{"role": "user", "content": COMPARE.format(highest=HIGHEST, **texts)}]


def read_better(text: str) -> Side | None:
    """The side named after the last `Better grader:`; None where none is."""
    found: list[str] = _SAID_BETTER.findall(text)
    return _SIDES[found[-1]] if found else None


def compare_grammar(max_tokens: int) -> str:
    """A GBNF grammar that holds an answer to a comparison's form."""
    return verdict_grammar(_REASONS, _BETTER, tuple(_SIDES), max_tokens)


def fingerprint() -> str:
    """Changes when what is said to whoever compares changes."""
    return hashed(COMPARE, compare_grammar(64))


class Fought(NamedTuple):
    """A battle that was won: two ratings, by their names, as they were shown."""

    first: str
    second: str
    winner: Side


class Weights(NamedTuple):
    """What a win in either place counts; the two add up to 1."""

    first: float
    second: float


def weights(first_wins: int, second_wins: int) -> Weights:
    """Weights of wins by place, from how often each place won; there must be some."""
    wins = first_wins + second_wins
    return Weights(second_wins / wins, first_wins / wins)


def elo(names: Sequence[str], battles: Iterable[Fought], counting: Weights) -> dict[str, float]:
    """The Elo of each name, 0 on average: the Bradley-Terry model's maximum likelihood (choix).

    Raises:
        NoLibrary: choix is not installed.
    """
    import numpy as np  # as choix does

    place = {name: number for number, name in enumerate(names)}
    won = np.zeros((len(names), len(names)))
    for battle in battles:
        first, second = place[battle.first], place[battle.second]
        if battle.winner == "first":
            won[first, second] += counting.first
        else:
            won[second, first] += counting.second
    strengths = library().ilsr_pairwise_dense(won, alpha=_PRIOR)
    return {name: round(_ELO * float(strengths[number]), 6) for name, number in place.items()}


def library() -> Any:
    """choix, an optional package.

    Raises:
        NoLibrary: with the remedy.
    """
    return needed("choix", "choix", "--method meta_rewarding", "meta")
