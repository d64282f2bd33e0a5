"""What a prompt took of the engines: its requests in their order, and what its votes said."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spar_core.conversation import Vote

SAMPLE, JUDGE, SEARCH = "sample", "judge", "tree_search"
STAGES = (SAMPLE, JUDGE, SEARCH)
"""The stages whose requests can be told from the tables."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a stage.

    answers: completion tokens of each sequence that it asks for. is_known: whether the very same
    prompt was asked just before, so that a prefix cache holds it.
    """

    stage: str
    prompt_tokens: int
    answers: tuple[int, ...]
    is_known: bool = False


Steps = tuple[tuple[Request, ...], ...]
"""Requests that follow from each other: those of a step at once, when the step before is done."""


@dataclass(frozen=True, slots=True)
class Cast:
    """A vote that was cast, None where it could not be read, and its tokens."""

    vote: Vote | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Judging:
    """The votes on a response, in the rounds in which they were asked for; none at no cost.

    prompt_tokens: of each round's request. text: the same for equal responses, and for no others.
    """

    prompt_tokens: int
    rounds: tuple[tuple[Cast, ...], ...]
    text: str = ""
    passed: bool = False

    @property
    def votes(self) -> tuple[Cast, ...]:
        return tuple(itertools.chain.from_iterable(self.rounds))

    def steps(self, stage: str) -> Steps:
        return tuple(
            (Request(stage, self.prompt_tokens, tuple(cast.tokens for cast in casts), number > 0),)
            for number, casts in enumerate(self.rounds)
        )


@dataclass(frozen=True, slots=True)
class Child:
    """A refinement: its tokens, and how it was judged; None where it could not be read."""

    tokens: int
    judging: Judging | None


@dataclass(frozen=True, slots=True)
class Refining:
    """A request for the refinements of a node, and these."""

    prompt_tokens: int
    children: tuple[Child, ...]

    @property
    def request(self) -> Request:
        return Request(SEARCH, self.prompt_tokens, tuple(child.tokens for child in self.children))

    @property
    def judgings(self) -> tuple[Judging, ...]:
        return tuple(child.judging for child in self.children if child.judging)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a prompt took. levels: of its search, those of a level asked for at once."""

    sampled: Request
    judgings: tuple[Judging, ...] = ()
    levels: tuple[tuple[Refining, ...], ...] = ()

    def items(self, stage: str) -> list[Steps]:
        """The items that a stage made of the prompt, each on its own."""
        if stage == SAMPLE:
            return [((self.sampled,),)]
        if stage == JUDGE:
            return [judging.steps(JUDGE) for judging in self.judgings if judging.rounds]
        return [tuple(_search(self.levels))] if self.levels else []

    def through(self, stages: Sequence[str]) -> Steps:
        """The same as one item, that is taken through all the stages."""
        return tuple(step for stage in stages for step in at_once(self.items(stage)) if step)

    def requests(self, stage: str) -> Iterator[Request]:
        for steps in self.items(stage):
            for step in steps:
                yield from step


def at_once(items: Sequence[Steps]) -> Steps:
    """Items side by side, as if each waited for the others at each of its steps."""
    return tuple(
        tuple(itertools.chain.from_iterable(steps))
        for steps in itertools.zip_longest(*items, fillvalue=())
    )


def _search(levels: Sequence[Sequence[Refining]]) -> Iterator[tuple[Request, ...]]:
    for level in levels:
        yield tuple(refining.request for refining in level)
        yield from at_once(
            [judging.steps(SEARCH) for refining in level for judging in refining.judgings]
        )
