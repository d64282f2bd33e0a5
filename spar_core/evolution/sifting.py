"""What a seed or a prompt may not be: in another language, too long, about maths, contaminated."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from spar_core.filters.language import language
from spar_core.filters.subject import is_maths_or_code
from spar_core.filters.words import words

if TYPE_CHECKING:
    from spar_core.filters.contamination import Contamination


@dataclass(frozen=True, slots=True)
class SiftSettings:
    """language: that texts must be in, "any" for all. least, most: words of a text.
    decontaminate: files of benchmarks whose prompts must not be in a text. texts: these prompts,
    as a hash.
    """

    language: str = "en"
    least_words: int = 3
    most_words: int = 500
    decontaminate: tuple[str, ...] = ()
    texts: str | None = None


class Sifted(NamedTuple):
    """Why a text is left out: a word, a sentence, and what it is too much like."""

    cause: str
    why: str
    near: str | None = None


def sift(text: str, settings: SiftSettings) -> Sifted | None:
    """Why a text is of no use, None where it is."""
    count = words(text)
    if count < settings.least_words:
        return Sifted("too_short", f"{count} words, at least {settings.least_words} are asked for")
    if count > settings.most_words:
        return Sifted("too_long", f"{count} words, at most {settings.most_words} are asked for")
    if is_maths_or_code(text):
        return Sifted("maths_or_code", "it is about mathematics or programming")
    if settings.language != "any":
        found = language(text)
        if found is not None and found != settings.language:
            return Sifted("other_language", f"it is in {found}, not {settings.language}")
    if settings.decontaminate:
        hit = benchmarks(settings.decontaminate).found(text)
        if hit is not None:
            return Sifted("contaminated", f"{hit.how}: {hit.text}", hit.place)
    return None


@functools.cache
def benchmarks(files: tuple[str, ...]) -> Contamination:
    """The prompts of these benchmark files, read once in a process."""
    from spar_core.filters.contamination import Contamination

    return Contamination.read(files)
