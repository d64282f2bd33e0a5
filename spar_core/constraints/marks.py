"""Constraints on single characters: case, commas, quotation marks."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from spar_core.constraints.kind import Arguments, Finding, Kind, speaks_of
from spar_core.constraints.sentences import WORD

LOWERCASE_ID = "change_case:english_lowercase"
CAPITAL_ID = "change_case:english_capital"

_NO_LETTERS = ("there are no letters", "it has no letters")


def _nothing(rng: Random, seed: str) -> Arguments:
    return {}


def _first_with(letter: Callable[[str], bool], text: str) -> str | None:
    """The first word that has such a letter, or what else stands between spaces and has one."""
    words = [*WORD.findall(text), *text.split()]
    return next((word for word in words if any(map(letter, word))), None)


def _lowercase(arguments: Arguments, text: str) -> Finding:
    if text.islower():
        return Finding(True, ("there is no capital letter", "no word has a capital letter"))
    word = _first_with(str.istitle, text)
    if word is None:
        return Finding(False, _NO_LETTERS)
    return Finding(
        False, (f'"{word}" has a capital letter', f'there is a capital letter in "{word}"')
    )


def _capital(arguments: Arguments, text: str) -> Finding:
    if text.isupper():
        return Finding(True, ("there is no small letter", "no word has a small letter"))
    word = _first_with(lambda each: each.islower() or (each.istitle() and not each.isupper()), text)
    if word is None:
        return Finding(False, _NO_LETTERS)
    return Finding(False, (f'"{word}" has a small letter', f'there are small letters in "{word}"'))


def _no_comma(arguments: Arguments, text: str) -> Finding:
    before, comma, _ = text.partition(",")
    if not comma:
        return Finding(True, ("there is no comma", "nowhere is there a comma"))
    words = before.split()
    if not words:
        return Finding(False, ("it begins with a comma", "there is a comma at the beginning"))
    word = words[-1].strip('"') or words[-1]
    return Finding(False, (f'there is a comma after "{word}"', f'"{word}" has a comma after it'))


def _quoted(arguments: Arguments, text: str) -> Finding:
    words = text.split()
    if not words:
        return Finding(False, ("there is no text", "it is empty"))
    met = len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] == '"'
    return Finding(
        met,
        (
            f"it begins with {words[0]} and ends with {words[-1]}",
            f"its first word is {words[0]} and its last is {words[-1]}",
        ),
    )


def _without_commas(arguments: Arguments, text: str, rng: Random) -> str:
    """The text without commas; words that only a comma divides are divided by a space then."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)  # of thousands
    text = re.sub(r"""(?<=[^\s,]),+(?=["“'‘(\[*_<]*\w)""", " ", text)
    return text.replace(",", "")


def _in_quotes(arguments: Arguments, text: str, rng: Random) -> str:
    inner = text.strip().strip('"').strip()
    return f'"{inner}"'


_CASE = speaks_of("capitals?|capitalized?|capitali[sz]e|uppercase|upper-case|lowercase|acronyms?")

LOWERCASE = Kind(
    id=LOWERCASE_ID,
    type="character case",
    states=(
        "Use lowercase letters only.",
        "Write everything in lowercase.",
        "No capital letters are allowed.",
    ),
    names=("all lowercase", "no capital letters"),
    draw=_nothing,
    look=_lowercase,
    mend=lambda arguments, text, rng: text.lower(),
    step=85,
    excludes=frozenset({CAPITAL_ID}),
    spoken_of=_CASE,
)

CAPITAL = Kind(
    id=CAPITAL_ID,
    type="character case",
    states=(
        "Use capital letters only.",
        "Write everything in capital letters.",
        "Your whole answer must be in uppercase.",
    ),
    names=("all capitals", "no small letters"),
    draw=_nothing,
    look=_capital,
    mend=lambda arguments, text, rng: text.upper(),
    step=85,
    excludes=frozenset({LOWERCASE_ID}),
    spoken_of=_CASE,
)

NO_COMMA = Kind(
    id="punctuation:no_comma",
    type="punctuation",
    states=(
        "Do not use any commas.",
        "Avoid commas altogether.",
        "Your answer must not contain a comma.",
    ),
    names=("no commas", "without commas"),
    draw=_nothing,
    look=_no_comma,
    mend=_without_commas,
    step=80,
    spoken_of=speaks_of("commas?|separated|punctuation|punctuate|lists?|csv"),
)

QUOTATION = Kind(
    id="startend:quotation",
    type="symbol",
    states=(
        "Wrap your whole answer in double quotation marks.",
        "Put the entire answer in double quotes.",
        "Begin and end with a double quotation mark.",
    ),
    names=("in double quotes", "quotation marks around it"),
    draw=_nothing,
    look=_quoted,
    mend=_in_quotes,
    step=90,
    excludes=frozenset({"detectable_format:json_format", "combination:repeat_prompt"}),
    spoken_of=speaks_of("quotes?|quotations?|quoted"),
)
