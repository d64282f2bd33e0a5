"""Rated responses in memory, for methods that select among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spar_core.stage import Item, Stage
from spar_core.testing import run_stage
from tests.spar_core.rows import Tables, add, respond


def answer(
    tables: Tables,
    name: str,
    scores: Sequence[float | None],
    *,
    prompt: str = "p",
    text: str | None = None,
) -> None:
    """Add a response with its ratings, whose texts are all different."""
    respond(tables, name, prompt, text)
    for number, score in enumerate(scores):
        add(
            tables,
            "ratings",
            rating_id=f"{name}.s{number}",
            response_id=name,
            prompt_id=prompt,
            number=number,
            score=score,
            critique=f"{number}: {score}",
        )


def items(stage: Stage[Any], tables: Tables, **options: Any) -> list[Item]:
    """A stage's items by their keys."""
    return run_stage(stage, tables, "Better grader: A", **options).items[stage.name]
