"""What a benchmark is: how its items are read, how an answer is scored, what its figures are.

A benchmark is a module of `evaluation.benchmarks` that makes one of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.evaluations import Unit
from schemas.items import Item
from spar_core.engine.protocol import Engine
from spar_core.voting import Judged, JudgeSettings


class BadData(Exception):
    """A benchmark's files are not what they should be; the message names file, place and remedy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one constraint of an answer, or of all of it; as in `scores`."""

    metric: str
    value: float | None
    number: int | None = None
    constraint: str | None = None
    critique: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """An item and all that was found of its answer; nothing where it has none."""

    item: Item
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a benchmark, before its value and interval are computed.

    part: what of the benchmark it is of, "" for all. units: those that could be scored. scored,
    items: of how many items these are, and how many there are in this part.
    """

    metric: str
    part: str
    units: Sequence[Unit]
    scored: int
    items: int


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the Hub has a benchmark: a dataset at a commit, and the files of it that are read."""

    dataset: str
    revision: str
    files: tuple[str, ...]


Check = Callable[[Item, str], list[Finding]]
"""A program's look at the answer to an item; it may take milliseconds of a core.

Raises spar_core.engine.protocol.ItemError: that cannot be done.
"""

Grade = Callable[[Engine, JudgeSettings, Item, str, int], Coroutine[Any, Any, list[Finding]]]
"""A judge's look at the answer to an item, or at the text given with it; last the seed."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    files: patterns of its published files, under a folder given with --data or a folder of the
        benchmark's name in it; one of several spellings is tried after the other.
    read: items of these files, in their order; `item_id` is left "" for the caller to fill in.
    read_prompts: the same of files of prompts, as jobs take them for --prompts, and of the column
        that --prompt_column names, or with `is_run` those that a run holds out; None where the
        benchmark has files of its own.
    answers: what its items need: `answer`, a decoder's answer to the prompt; `chat`, one answer to
        the chat of its details, at temperature 0; `turns`, an answer to each turn of its details,
        which are asked one after the other with the answers before, at temperature 0;
        `refinement`, one of the text that is given; None
        where that text itself is scored.
    check, grade: how an answer is scored; either may be None. asked: what its judge is asked, as a
        hash; "" where that is what a refiner is asked.
    figures: what it comes to, the headline first.
    scores_answers_to: the benchmark whose answers to items of the same key are scored, beside the
        texts that are given; "" for its own answers, or the texts alone.
    """

    name: str
    about: str
    files: tuple[str, ...]
    read: Callable[[Sequence[Path]], Iterator[Item]]
    figures: Callable[[Sequence[Scored]], list[Figure]]
    answers: str | None = "answer"
    check: Check | None = None
    grade: Grade | None = None
    asked: str = ""
    hub: Hub | None = None
    read_prompts: Callable[..., Iterator[Item]] | None = None
    scores_answers_to: str = ""

    @property
    def asks_actor(self) -> bool:
        """Whether it is the actor's answers that are scored."""
        return self.answers in ("answer", "chat", "turns")


def verdict(metric: str, judged: Judged) -> Finding:
    """A judge's verdict: 1 for Yes, 0 for No; null where it is neither, and which it is."""
    value = {"yes": 1.0, "no": 0.0}.get(judged.verdict)
    critique = judged.critique if value is not None else f"{judged.verdict}: {judged.critique}"
    tokens = judged.prompt_tokens, judged.completion_tokens
    return Finding(metric, value, None, None, critique, *tokens)


def details(item: Item) -> Mapping[str, Any]:
    """What else a benchmark scores an item by."""
    found: dict[str, Any] = json.loads(item.details)
    return found
