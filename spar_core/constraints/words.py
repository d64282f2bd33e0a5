"""Constraints on words: to use, to avoid, how often."""

from __future__ import annotations

import re
from random import Random

from spar_core.constraints.kind import Arguments, Finding, Kind, speaks_of
from spar_core.constraints.sentences import around, ended

_KEYWORDS = """
friend morning water garden music window bridge silver summer river market letter kitchen
simple bright gentle early quiet strong future family travel winter mountain school story
color light paper answer smile coffee forest circle moment corner promise honest season
dream voice planet energy history nature freedom journey bread island candle village
library weather engine pocket ticket rainbow holiday picture machine balance shadow
"""
_AVOIDED = """
very really many also important great good like make people time always just well often
most much some more new
"""
_ADDED = (
    "Think of the word {word}.",
    "One word for it is {word}.",
    "It goes well with {word}.",
    "Remember the word {word}.",
)

_TIMES = ("not there", "there once", "there twice")


def _not_in(words: str, rng: Random, seed: str, number: int) -> list[str]:
    """Some of the words that a seed does not hold; of all, where it holds too many."""
    all_words, said = words.split(), seed.lower()
    others = [word for word in all_words if word not in said]
    return rng.sample(others if len(others) >= number else all_words, number)


def _place(word: str, text: str, whole: bool) -> str | None:
    """Where a word stands, with its neighbours."""
    edge = r"\b" if whole else ""
    found = re.search(f"{edge}{re.escape(word)}{edge}", text, re.IGNORECASE)
    return around(text, *found.span()) if found else None


def _existence(arguments: Arguments, text: str) -> Finding:
    places = {word: _place(word, text, whole=False) for word in arguments["keywords"]}
    missing = [word for word, place in places.items() if place is None]
    if missing:
        words = " and ".join(f'"{word}"' for word in missing)
        is_are = "are" if len(missing) > 1 else "is"
        return Finding(False, (f"{words} {is_are} not there", f"{words} {is_are} missing"))
    shown = ", ".join(f'"{place}"' for place in places.values())
    return Finding(True, (f"it says {shown}", f"there is {shown}"))


def _with_words(arguments: Arguments, text: str, rng: Random) -> str:
    for word in arguments["keywords"]:
        if _place(word, text, whole=False) is None:
            text = f"{ended(text)} {rng.choice(_ADDED).format(word=word)}"
    return text


def _forbidden(arguments: Arguments, text: str) -> Finding:
    for word in arguments["forbidden_words"]:
        place = _place(word, text, whole=True)
        if place is not None:
            return Finding(False, (f'it says "{place}"', f'there is "{place}"'))
    words = " and ".join(f'"{word}"' for word in arguments["forbidden_words"])
    return Finding(True, (f"{words} is not there", f"nowhere is there {words}"))


def _without_words(arguments: Arguments, text: str, rng: Random) -> str:
    for word in arguments["forbidden_words"]:
        whole = rf"((?<!\s)\s+|(?<=\w)-|)\b{re.escape(word)}\b(?:['’]\w+)?(-(?=\w))?"
        text = re.sub(whole, lambda m: m[1] if m[2] else "", text, flags=re.IGNORECASE)
    text = text.lstrip(" ,;:")
    return text[:1].upper() + text[1:] if text[:1].islower() else text


def _count(arguments: Arguments, text: str) -> int:
    return len(re.findall(re.escape(arguments["keyword"].strip()), text, re.IGNORECASE))


def _frequency(arguments: Arguments, text: str) -> Finding:
    times, wanted = _count(arguments, text), arguments["frequency"]
    met = times < wanted if arguments["relation"] == "less than" else times >= wanted
    said = _TIMES[times] if times < len(_TIMES) else f"there {times} times"
    return Finding(met, (f'"{arguments["keyword"].strip()}" is {said}',))


def _as_often(arguments: Arguments, text: str, rng: Random) -> str | None:
    if arguments["relation"] == "less than":
        return None
    for _ in range(arguments["frequency"] - _count(arguments, text)):
        text = f"{ended(text)} {rng.choice(_ADDED).format(word=arguments['keyword'])}"
    return text


_SPOKEN = speaks_of(
    "words?|keywords?|mention|include|use|avoid|without|contain(?:s|ing)?|synonyms?"
)

EXISTENCE = Kind(
    id="keywords:existence",
    type="keyword",
    states=(
        "Include {keywords} in your answer.",
        "Use the word {keywords} somewhere.",
        "Make sure to mention {keywords}.",
    ),
    names=("use of {keywords}", "mention of {keywords}"),
    draw=lambda rng, seed: {"keywords": _not_in(_KEYWORDS, rng, seed, 1)},
    look=_existence,
    mend=_with_words,
    step=20,
    spoken_of=_SPOKEN,
)

FORBIDDEN = Kind(
    id="keywords:forbidden_words",
    type="keyword",
    states=(
        "Do not use the word {forbidden_words}.",
        "Avoid the word {forbidden_words}.",
        "Leave out the word {forbidden_words}.",
    ),
    names=("no {forbidden_words}", "without {forbidden_words}"),
    draw=lambda rng, seed: {"forbidden_words": _not_in(_AVOIDED, rng, seed, 1)},
    look=_forbidden,
    mend=_without_words,
    step=10,
    spoken_of=_SPOKEN,
)

FREQUENCY = Kind(
    id="keywords:frequency",
    type="keyword",
    states=(
        'Use the word "{keyword}" {relation} {frequency} times.',
        'The word "{keyword}" should come up {relation} {frequency} times.',
    ),
    names=('"{keyword}" {relation} {frequency} times',),
    draw=lambda rng, seed: {
        "keyword": _not_in(_KEYWORDS, rng, seed, 1)[0],
        "frequency": rng.choice((2, 3)),
        "relation": "at least",
    },
    look=_frequency,
    mend=_as_often,
    step=21,
    excludes=frozenset({"keywords:existence"}),
    spoken_of=_SPOKEN,
)
