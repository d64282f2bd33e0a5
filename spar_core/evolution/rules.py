"""The writer that is a program: it joins constraints that a program can check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from schemas.prompts import Check
from spar_core.constraints import KINDS
from spar_core.constraints.drawing import draw, written
from spar_core.constraints.kind import Arguments
from spar_core.evolution.evolved import Evolved

NAME = "rules"


def evolve(seed: str, kinds: Sequence[str], more: int, draws: int) -> Evolved:
    """A prompt for a seed, with its checks.

    Args:
        kinds: ids of the constraints to draw from. more: at most so many beside the main one.
        draws: seed of what is drawn.
    """
    drawn = draw(seed, Random(draws), [KINDS[name] for name in kinds], more)
    if drawn.main is None:
        why = "every kind of constraint contradicts the seed"
        return Evolved(refused=drawn.refused, dropped="contradictory", why=why)
    constraints = drawn.constraints
    return Evolved(
        main=drawn.main.kind.id,
        further=tuple(each.kind.id for each in drawn.further),
        refused=drawn.refused,
        constraints=tuple(each.text for each in constraints),
        prompt=written(seed, constraints),
        checks=tuple(Check(each.kind.id, _written(each.arguments)) for each in constraints),
        verdict="consistent",
    )


def _written(arguments: Arguments) -> str:
    """Arguments as the table `prompts` has them."""
    return json.dumps(dict(sorted(arguments.items())), ensure_ascii=False)
