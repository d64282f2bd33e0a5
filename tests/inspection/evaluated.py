"""Figures of benchmarks as an evaluation leaves them, from what was met and what was not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluation.intervals import interval
from schemas.evaluations import Evaluation, Part, Unit

Met = Sequence[int | None]
"""Of each item 1 where it is met, 0 where it is not, None where it has no score."""


def units(met: Met, start: int = 0) -> list[Unit]:
    """A unit for each item with a score; keys are numbers from `start`."""
    return [
        Unit(f"i{number}", [Part(float(value), 1.0)])
        for number, value in enumerate(met, start)
        if value is not None
    ]


def figure(
    metric: str,
    met: Met,
    *,
    start: int = 0,
    benchmark: str = "ifeval",
    part: str = "",
    decoder: str = "greedy",
    model: str = "m",
    **more: Any,
) -> Evaluation:
    """A figure whose value and interval are those of its units."""
    of = units(met, start)
    found = interval(of)
    return Evaluation(
        benchmark=benchmark,
        metric=metric,
        part=part,
        value=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        scored=len(of),
        items=len(met),
        decoder=decoder,
        model=model,
        units=of,
        **{"votes": 0, "budget": 1, "scorer": "program", **more},
    )


def half(count: int, met: int) -> list[int]:
    """So many items of which the first so many are met."""
    return [1] * met + [0] * (count - met)
