"""Evaluations of a run on the user's own prompts (`pipelines.evaluate --benchmark custom`)."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.prompts import HELD_OUT
from schemas.table import MAIN
from schemas.views import connect

BENCHMARK = "custom"

_READ = f"""
    select
        (select count(*) from prompts where split = '{HELD_OUT}'),
        (select coalesce(list(distinct iteration order by iteration), []) from answers
         where benchmark = '{BENCHMARK}' and variant = '{MAIN}'),
        (select count(*) from evaluations where benchmark = '{BENCHMARK}')
"""


@dataclass(frozen=True, slots=True)
class OwnEvaluations:
    """The evaluations of a run on the user's own prompts.

    held_out: how many prompts the run holds out for them. iterations: those whose models have
    answered, in order. has_figures: whether programs could score answers, by the prompts' checks.
    """

    held_out: int
    iterations: tuple[int, ...]
    has_figures: bool


def read(run: str) -> OwnEvaluations:
    """Return what a run holds of such evaluations."""
    with connect(run, ("prompts", "answers", "evaluations")) as connection:
        [(held_out, iterations, figures)] = connection.sql(_READ).fetchall()
    return OwnEvaluations(held_out, tuple(iterations), bool(figures))
