"""What a synthetic task is: prompts, pairs of both kinds for them, and how answers are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["interfering", "refined"]
KINDS: tuple[Kind, ...] = ("interfering", "refined")

START_RIGHT = 0.55
"""Share of right answers among those that a model is trained on from scratch."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with the answers that pairs are made of.

    refined: right, and otherwise as `rejected`.
    interfering: right, and different in what was not asked for.
    """

    prompt: str
    rejected: str
    refined: str
    interfering: str

    def chosen(self, kind: Kind) -> str:
        return self.refined if kind == "refined" else self.interfering


@dataclass(frozen=True, slots=True)
class Material:
    """What one seed trains and measures with; no prompt of `held_out` is in the other two.

    start: prompts with answers, right and wrong and of both sorts, for a model from scratch.
    """

    start: list[tuple[str, str]]
    pairs: list[Example]
    held_out: list[Example]


@dataclass(frozen=True, slots=True)
class Task:
    """A synthetic task.

    factor: what the share of outputs with the interfering factor is a share of.
    pieces: a regular expression that cuts prompts and answers into the tokens of a small model.
    start_steps: steps of training a small model from scratch.
    material: (seed, start, pairs, held_out) -> as many of each.
    is_right: does an answer to the example's prompt do what was asked?
    has_factor: does an answer show the interfering factor?
    """

    name: str
    factor: str
    pieces: str
    start_steps: int
    material: Callable[[int, int, int, int], Material]
    is_right: Callable[[Example, str], bool]
    has_factor: Callable[[str], bool]
