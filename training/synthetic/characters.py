"""Write N letters; the case is free. Interfering pairs differ in the case as well."""

from __future__ import annotations

import random
import string

from training.synthetic.task import START_RIGHT, Example, Material, Task

COUNTS = range(4, 17)
_MOST_OFF = 3
_START_UPPER = 0.3
_HELD_OUT = 0.2


def material(seed: int, start: int, pairs: int, held_out: int) -> Material:
    """A fifth of all (count, letter) is held out; each other may be in several pairs."""
    rng = random.Random(seed)
    questions = [(count, letter) for count in COUNTS for letter in string.ascii_lowercase]
    rng.shuffle(questions)
    cut = round(_HELD_OUT * len(questions))
    asked, unseen = questions[cut:], questions[:cut]
    return Material(
        start=[_start_answer(rng, *rng.choice(asked)) for _ in range(start)],
        pairs=[_example(rng, *rng.choice(asked)) for _ in range(pairs)],
        held_out=[_example(rng, *unseen[i % len(unseen)]) for i in range(held_out)],
    )


def is_right(example: Example, answer: str) -> bool:
    """The letter, as often as asked, in any case, and nothing else but white space."""
    return "".join(answer.split()).lower() == example.refined


def has_factor(answer: str) -> bool:
    """Is it in upper case?"""
    return answer.isupper()


def _example(rng: random.Random, count: int, letter: str) -> Example:
    right = letter * count
    wrong = letter * _wrong(rng, count)
    return Example(_prompt(count, letter), wrong, right, right.upper())


def _start_answer(rng: random.Random, count: int, letter: str) -> tuple[str, str]:
    written = count if rng.random() < START_RIGHT else _wrong(rng, count)
    cased = letter.upper() if rng.random() < _START_UPPER else letter
    return _prompt(count, letter), cased * written


def _wrong(rng: random.Random, count: int) -> int:
    """A count that is off by a few, either way."""
    return count + rng.choice((-1, 1)) * rng.randint(1, _MOST_OFF)


def _prompt(count: int, letter: str) -> str:
    return f"Write {count} letters {letter} and nothing else."


TASK = Task(
    name="characters",
    factor="outputs in upper case",
    pieces=r"Write | letters | and nothing else\.|\d+|.",
    start_steps=1_000,
    material=material,
    is_right=is_right,
    has_factor=has_factor,
)
