"""Options for how answers are drawn, the same three for every kind of answer."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import Any

from spar_core.engine.protocol import Sampling


def whole(least: int) -> Callable[[str], int]:
    """An option's type: a whole number, at least so large."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ArgumentTypeError(f"must be a whole number, at least {least}, not {text!r}")
        return value

    return read


def between(low: float, high: float = inf, *, over: bool = False) -> Callable[[str], float]:
    """An option's type: a number in a range, without its low end if `over`."""
    wanted = f"{'over' if over else 'at least'} {low:g}"
    if high < inf:
        wanted += f" and at most {high:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not low <= value <= high or (over and value == low) or value == inf:
            raise ArgumentTypeError(f"must be a number, {wanted}, not {text!r}")
        return value

    return read


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one kind of answer is drawn.

    name: begins the options' names. role: who answers. temperature: unless one is given. tokens:
    the longest answer, of the bundled model `short`: short answers are what it and two cores can
    do. but: where another temperature is the default.
    """

    name: str
    role: str
    temperature: float
    top_p: float
    tokens: int
    short: int
    but: str = ""

    def add(self, group: Any) -> None:
        name = self.name
        group.add_argument(
            f"--{name}_temperature",
            type=between(0, 2),
            metavar="T",
            help=f"default: {self.temperature}{self.but}",
        )
        group.add_argument(
            f"--{name}_top_p",
            type=between(0, 1, over=True),
            default=self.top_p,
            metavar="P",
            help=f"default: {self.top_p}",
        )
        group.add_argument(
            f"--{name}_max_tokens",
            type=whole(1),
            metavar="N",
            help=f"longest answer (default: {self.tokens}; {self.short} for the bundled model)",
        )

    def read(self, options: Namespace) -> Sampling:
        """How it is drawn, from a command line whose engines are known."""
        limit = getattr(options, f"{self.name}_max_tokens")
        given = getattr(options, f"{self.name}_temperature")
        return Sampling(
            self.temperature if given is None else given,
            getattr(options, f"{self.name}_top_p"),
            limit or (self.short if self.role in options.bundled else self.tokens),
        )


ACTOR = Drawing(
    *("actor", "actor", 0.9, 0.9, 2048, 48),
    but="; 0 for the answer with which a decoder begins that refines it",
)
JUDGE = Drawing("judge", "judge", 0.7, 1.0, 2048, 112)
REFINE = Drawing("refine", "refiner", 0.7, 1.0, 3072, 192)
RATE = Drawing("rate", "actor", 0.7, 0.9, 2048, 112)
META = Drawing("meta", "actor", 0.7, 0.9, 2048, 112)
BACKWARD = Drawing("backward", "backward", 0.7, 0.9, 512, 64)
WRITE = Drawing("write", "writer", 0.7, 1.0, 1024, 256)
VERIFIER = Drawing("verifier", "verifier", 0.7, 1.0, 1024, 256)
RELEVANCE = Drawing("relevance", "verifier", 0.7, 0.9, 2048, 112)
TEACH_JUDGE = Drawing("teach_judge", "teacher", 0.7, 1.0, 2048, 128)
TEACH_REFINE = Drawing("teach_refine", "teacher", 0.7, 1.0, 3072, 192)
TEACH_ANSWER = Drawing("teach_answer", "teacher", 0.7, 1.0, 2048, 128)

_ALL = (
    *(ACTOR, JUDGE, REFINE, RATE, META, BACKWARD, WRITE, VERIFIER, RELEVANCE),
    *(TEACH_JUDGE, TEACH_REFINE, TEACH_ANSWER),
)


def longest(options: Namespace, role: str) -> int:
    """The longest answer that a role is asked for, in tokens; 0 where it is asked nothing."""
    drawings = [d for d in _ALL if hasattr(options, f"{d.name}_max_tokens")]
    return max((d.read(options).max_tokens for d in drawings if d.role == role), default=0)
