"""Repair by a program: the smallest change after which an answer meets all its requirements."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from spar_core.constraints.critique import Requirement

_ROUNDS = 2
"""What one repair undoes of another is mended once more."""


def repair(
    found: Sequence[Requirement], response: str, rng: Random, *, leave: frozenset[str] = frozenset()
) -> str | None:
    """The response mended; None where no program can.

    Args:
        leave: ids of the kinds that are left as they are.
    """
    ordered = sorted(
        (each for each in found if each.kind.id not in leave), key=lambda each: each.kind.step
    )
    text = response.strip()
    for _ in range(_ROUNDS):
        for each in ordered:
            if not each.kind.look(each.arguments, text).met:
                mended = each.kind.mend(each.arguments, text, rng)
                if mended is None:
                    return None
                text = mended.strip()
        if text and all(each.kind.look(each.arguments, text).met for each in ordered):
            return text
    return None
