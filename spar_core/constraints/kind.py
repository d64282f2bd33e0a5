"""A kind of constraint: what a program can state, look for in an answer, and mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

Arguments = Mapping[str, Any]
"""Of a checker (docs/checks.md)."""


class Finding(NamedTuple):
    """What an answer has of what a constraint asks for.

    evidence: the place in the answer that decides, in several wordings.
    """

    met: bool
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of constraint of the taxonomy (arXiv 2412.11605, appendix).

    id: the checker that decides (`spar_core.checks`). type: its place in the taxonomy.
    states: the constraint as a sentence, and names: as a few words, each in several wordings with
        `{argument}`s.
    draw: arguments for a seed. look: what an answer has of it.
    mend: an answer that misses it, with the least change that meets it; None where no program can.
    step: mending goes from low to high, so that what is done last is not undone.
    excludes: ids that do not go together with this one.
    spoken_of: what in a seed already asks for this or for its contrary.
    data: NLTK's data that the checker needs.
    """

    id: str
    type: str
    states: tuple[str, ...]
    names: tuple[str, ...]
    draw: Callable[[Random, str], Arguments]
    look: Callable[[Arguments, str], Finding]
    mend: Callable[[Arguments, str, Random], str | None]
    step: int
    excludes: frozenset[str] = field(default_factory=frozenset)
    spoken_of: re.Pattern[str] | None = None
    data: str = ""


def said(wordings: tuple[str, ...], arguments: Arguments, rng: Random) -> str:
    """One of the wordings, with its arguments filled in."""
    filled = {key: _shown(value) for key, value in arguments.items()}
    return re.sub(r"\{(\w+)\}", lambda m: filled[m[1]], rng.choice(wordings))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(f'"{each}"' for each in value)
    return str(value)


def speaks_of(pattern: str) -> re.Pattern[str]:
    """Whole words, in any case."""
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
