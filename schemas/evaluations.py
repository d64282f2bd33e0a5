"""`evaluations`: a row is a figure of a benchmark, with its interval and what it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.table import MAIN, VARIANT, Table


@dataclass(frozen=True, slots=True)
class Part:
    """A fraction of a unit: what it adds to the numerator and to the denominator of a ratio."""

    over: float
    under: float


@dataclass(frozen=True, slots=True)
class Unit:
    """What is drawn anew for an interval, and compared between two systems: an item, mostly."""

    key: str
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A figure: the mean of the ratios that the units' parts add up to.

    metric: the figure's name in the benchmark. part: what of the benchmark it is of: a kind of
    constraint, a category, a level, a subset; "" for all. value, low, high: from 0 to 1, the
    interval of 95 %; null where nothing was scored. scored, items: how many of how many items.
    responses, tokens: made for an item in the mean, tokens with judgements; null where nothing was
    asked of an engine. units: what it was made of; empty where another program says the figure.
    """

    benchmark: str
    metric: str
    part: str
    value: float | None
    low: float | None
    high: float | None
    scored: int
    items: int
    decoder: str
    votes: int
    budget: int
    model: str
    scorer: str
    responses: float | None = None
    tokens: float | None = None
    units: list[Unit] = field(default_factory=list)
    variant: str = MAIN


_PART = {"over": "double", "under": "double"}

EVALUATIONS = Table(
    "evaluations",
    Evaluation,
    {
        "benchmark": "string",
        "metric": "string",
        "part": "string",
        "value": "double",
        "low": "double",
        "high": "double",
        "scored": "int64",
        "items": "int64",
        "decoder": "string",
        "votes": "int32",
        "budget": "int32",
        "model": "string",
        "scorer": "string",
        "responses": "double",
        "tokens": "double",
        "units": [{"key": "string", "parts": [_PART]}],
        "variant": "string",
    },
    reads=VARIANT,
)
