"""Constraints on length, in words and in sentences."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from spar_core.checks.counting import count_sentences, count_words
from spar_core.constraints.kind import Arguments, Finding, Kind, speaks_of
from spar_core.constraints.sentences import ended, sentences

_MORE = (
    "There is more to it than that.",
    "Take your time with it.",
    "It is worth a closer look.",
    "Many people would say the same.",
    "That is how it often goes.",
    "It may be different for you.",
)
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _sentences(text: str) -> int:
    count = count_sentences(text)
    return len(sentences(text)) if count is None else count


def _counted(count: int, noun: str) -> str:
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"it has {number} {noun}{'' if count == 1 else 's'}"


def _is_met(count: int, wanted: int, relation: str) -> bool:
    return count < wanted if relation == "less than" else count >= wanted


def _look_words(arguments: Arguments, text: str) -> Finding:
    count = count_words(text)
    met = _is_met(count, arguments["num_words"], arguments["relation"])
    return Finding(met, (_counted(count, "word"),))


def _look_sentences(arguments: Arguments, text: str) -> Finding:
    count = _sentences(text)
    met = _is_met(count, arguments["num_sentences"], arguments["relation"])
    return Finding(met, (_counted(count, "sentence"),))


def _shorter(text: str, fits: Callable[[str], bool]) -> str | None:
    """The first sentences, or where not even one fits its first words."""
    parts = sentences(text)
    for number in range(len(parts), 0, -1):
        if fits(kept := " ".join(parts[:number])):
            return kept
    words = (parts or [""])[0].split()
    for number in range(len(words), 0, -1):
        if fits(kept := ended(" ".join(words[:number]).rstrip(",;:"))):
            return kept
    return None


def _longer(text: str, fits: Callable[[str], bool], rng: Random) -> str | None:
    for added in rng.sample(_MORE, len(_MORE)):
        if fits(text):
            break
        text = f"{ended(text)} {added}"
    return text if fits(text) else None


def _of_words(arguments: Arguments, text: str, rng: Random) -> str | None:
    def fits(some: str) -> bool:
        return _is_met(count_words(some), arguments["num_words"], arguments["relation"])

    return (
        _shorter(text, fits) if arguments["relation"] == "less than" else _longer(text, fits, rng)
    )


def _of_sentences(arguments: Arguments, text: str, rng: Random) -> str | None:
    def fits(some: str) -> bool:
        return _is_met(_sentences(some), arguments["num_sentences"], arguments["relation"])

    return (
        _shorter(text, fits) if arguments["relation"] == "less than" else _longer(text, fits, rng)
    )


_SPOKEN = speaks_of(
    "words?|sentences?|paragraphs?|short|shorter|long|brief|briefly|length|essay|detail(?:ed|s)?|"
    "summar(?:y|ize|ise)|characters?"
)
_OTHERS = frozenset({"length_constraints:number_words", "length_constraints:number_sentences"})

WORDS = Kind(
    id="length_constraints:number_words",
    type="length",
    states=(
        "Use {relation} {num_words} words.",
        "The answer should have {relation} {num_words} words.",
    ),
    names=("{relation} {num_words} words",),
    draw=lambda rng, seed: rng.choice(
        (
            {"num_words": rng.randrange(25, 61, 5), "relation": "less than"},
            {"num_words": rng.randrange(20, 41, 5), "relation": "at least"},
        )
    ),
    look=_look_words,
    mend=_of_words,
    step=5,
    excludes=_OTHERS,
    spoken_of=_SPOKEN,
)

SENTENCES = Kind(
    id="length_constraints:number_sentences",
    type="length",
    states=(
        "Use {relation} {num_sentences} sentences.",
        "The answer should have {relation} {num_sentences} sentences.",
    ),
    names=("{relation} {num_sentences} sentences",),
    draw=lambda rng, seed: {
        "num_sentences": rng.choice((2, 3, 4)),
        "relation": rng.choice(("less than", "at least")),
    },
    look=_look_sentences,
    mend=_of_sentences,
    step=5,
    excludes=_OTHERS,
    spoken_of=_SPOKEN,
    data="punkt_tab",
)
