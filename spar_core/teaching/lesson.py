"""Lessons: judgements and refinements that a teacher wrote, and what filters took of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from spar_core.conversation import Refinement

Source = Literal["response", "refinement", "near_miss", "look_alike"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a refiner should have said of a response.

    critique: the judgement of the response. refinement: of a lesson in refining, else None.
    label: the verdict of a lesson in judging, Yes or No. value: the share of the teacher's votes
    that say Yes, None of a program. checked: what the program says of the text that the lesson is
    about: the one judged, or the refined one. reasoning: what the teacher thought before it; ""
    for nothing.
    """

    source: Source
    response: str
    critique: str
    label: str | None = None
    refinement: Refinement | None = None
    value: float | None = None
    checked: bool | None = None
    similarity: float | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a filter took: `what` is `judgement`, `refinement` or `answer`."""

    what: str
    cause: str
    message: str = ""


@dataclass(slots=True)
class Lessons:
    """Of one response. answer: it, or what it was mended to; None where neither is of use."""

    learnt: list[Lesson] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    answer: str | None = None
