"""A story that begins and ends as asked. Interfering pairs differ in its middle as well."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.synthetic.task import START_RIGHT, Example, Material, Task

_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix")
_THINGS = ("key", "coat", "lamp", "map", "ring", "drum")

_FOREST = (
    ("fox", "deer", "hare", "squirrel", "badger", "hedgehog"),
    ("ran", "climbed", "slept", "hunted", "dug"),
    ("oak", "pond", "meadow", "brook", "fern"),
)
_SEA = (
    ("gull", "whale", "seal", "crab", "dolphin", "sailor"),
    ("swam", "dived", "rowed", "sailed", "floated"),
    ("harbour", "lighthouse", "reef", "beach", "boat"),
)
_START_SEA = 0.3
_MIDDLE = 2
"""Sentences between the first and the last."""
_PIECES = (
    r'Write [^"]+"|" and [^"]+"|One day [^.]+\.| ?At last [^.]+\.'
    r"| ?(?:A|near the) \w+| ?\w+|."
)
"""A first or last sentence is one token: copying it is then learnt within the start's steps."""


@dataclass(frozen=True, slots=True)
class _Story:
    begins: str
    middle: tuple[str, ...]
    ends: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.begins, *self.middle, self.ends) if part)


def material(seed: int, start: int, pairs: int, held_out: int) -> Material:
    """Prompts of the held-out examples are drawn first and passed over afterwards."""
    rng = random.Random(seed)
    unseen = [_example(rng) for _ in range(held_out)]
    reserved = {example.prompt for example in unseen}
    answers: list[tuple[str, str]] = []
    while len(answers) < start:
        story = _story(rng, _SEA if rng.random() < _START_SEA else _FOREST)
        answer = story if rng.random() < START_RIGHT else _spoilt(rng, story)
        if _prompt(story) not in reserved:
            answers.append((_prompt(story), str(answer)))
    examples: list[Example] = []
    while len(examples) < pairs:
        example = _example(rng)
        if example.prompt not in reserved:
            examples.append(example)
    return Material(answers, examples, unseen)


def is_right(example: Example, answer: str) -> bool:
    """It begins with the one sentence and ends with the other."""
    sentences = re.split(r"(?<=\.) ", example.refined)
    text = answer.strip()
    return text.startswith(sentences[0]) and text.endswith(sentences[-1])


def has_factor(answer: str) -> bool:
    """Are more of its words from the sea than from the forest?"""
    words = re.findall(r"\w+", answer.lower())
    return _count(words, _SEA) > _count(words, _FOREST)


def _count(words: Sequence[str], world: Sequence[Sequence[str]]) -> int:
    return sum(word in kind for word in words for kind in world)


def _example(rng: random.Random) -> Example:
    story = _story(rng, _FOREST)
    other = replace(story, middle=_middle(rng, _SEA))
    return Example(_prompt(story), str(_spoilt(rng, story)), str(story), str(other))


def _spoilt(rng: random.Random, story: _Story) -> _Story:
    """The first or the last sentence is missing or another one."""
    is_first, is_missing = rng.random() < 0.5, rng.random() < 0.5
    draw, right = (_begins, story.begins) if is_first else (_ends, story.ends)
    sentence = right
    while sentence == right:
        sentence = "" if is_missing else draw(rng)
    return replace(story, begins=sentence) if is_first else replace(story, ends=sentence)


def _story(rng: random.Random, world: Sequence[Sequence[str]]) -> _Story:
    return _Story(_begins(rng), _middle(rng, world), _ends(rng))


def _begins(rng: random.Random) -> str:
    return f"One day {rng.choice(_NAMES)} found a {rng.choice(_THINGS)}."


def _middle(rng: random.Random, world: Sequence[Sequence[str]]) -> tuple[str, ...]:
    animals, verbs, places = world
    return tuple(
        f"A {rng.choice(animals)} {rng.choice(verbs)} near the {rng.choice(places)}."
        for _ in range(_MIDDLE)
    )


def _ends(rng: random.Random) -> str:
    return f"At last {rng.choice(_NAMES)} sold the {rng.choice(_THINGS)}."


def _prompt(story: _Story) -> str:
    return (
        f"Write a story of {_MIDDLE + 2} sentences that begins with the sentence "
        f'"{story.begins}" and ends with the sentence "{story.ends}"'
    )


TASK = Task(
    name="story",
    factor="outputs in the other story's words",
    pieces=_PIECES,
    start_steps=2_500,
    material=material,
    is_right=is_right,
    has_factor=has_factor,
)
