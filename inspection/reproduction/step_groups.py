"""The steps of a reproduction by kind: data rounds, trainings, evaluations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from inspection.reproduction.contract import Step

_SEED = re.compile(r"^\s*(seed\s+\d+|all seeds)\s*:\s*", re.IGNORECASE)


class Group(NamedTuple):
    """All steps of a kind: how many there are and how long they took together."""

    name: str
    steps: int
    seconds: float


def grouped(steps: Iterable[Step]) -> list[Group]:
    """Return the steps by kind, in the order in which the first step of each kind was done."""
    groups: dict[str, Group] = {}
    for step in steps:
        name = kind(step.name)
        held = groups.get(name.lower(), Group(name, 0, 0.0))
        groups[name.lower()] = Group(held.name, held.steps + 1, held.seconds + step.seconds)
    return list(groups.values())


def kind(name: str) -> str:
    """Return what kind of step a name tells of: `DPO` of `seed 1: DPO: independent 2`.

    It stands before the next colon, or is the first word where there is none.
    """
    rest = _SEED.sub("", name)
    before, colon, _ = rest.partition(":")
    word = before.strip() if colon else next(iter(rest.split()), "")
    return word or "unnamed"
