"""The words of a text in any script, as the filters compare and count them."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

_SYMBOLS = {"Sm", "Sc", "So"}
"""Kinds of symbols that say something: signs of mathematics, currencies, emoji."""
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts without spaces between words, as the names of their characters begin."""

_CUT = "\x1f"
"""Space where there is none; str.split takes it for one."""

_MARKS = 30

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”')]*\s+|(?<=[。！？])|\n+")


class _Normal(dict[int, str]):
    """What becomes of a character, by its code, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if character.isspace():
            normal = " "
        elif kind[0] == "L" and unicodedata.name(character, "").startswith(_UNSPACED):
            normal = f"{_CUT}{character}{_CUT}"
        elif kind[0] in "LMN" or kind in _SYMBOLS:
            normal = character
        else:
            normal = ""
        self[code] = normal
        return normal


_normal = _Normal()


def split(text: str) -> list[str]:
    """The words of a text, small and without punctuation.

    A word is what stands between spaces: `step-by-step` and a URL are one. In a script without
    spaces each letter is a word.
    """
    return _normalised(text).split()


def spaced(text: str) -> list[str]:
    """What stands between spaces in any script, small and without punctuation."""
    return _normalised(text).replace(_CUT, "").split()


def words(text: str) -> int:
    """How many words a text has."""
    return len(split(text))


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def unicode_form(form: Literal["NFC", "NFKC"], text: str) -> str:
    """A text in a Unicode form; as it is where it has more combining marks in a row than any script
    (UAX 15, stream-safe): to bring them into order takes time quadratic in their number.
    """
    run = 0
    for mark in map(unicodedata.combining, "" if text.isascii() else text):
        run = run + 1 if mark else 0
        if run > _MARKS:
            return text
    return unicodedata.normalize(form, text)


def _normalised(text: str) -> str:
    return unicode_form("NFKC", text.casefold()).translate(_normal)
