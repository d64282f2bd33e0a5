"""Text cut into sentences and words, as the repairs need it; the checkers cut by other rules."""

from __future__ import annotations

import re

_END = re.compile(r'(?<=[.!?])\s+|(?<=[.!?]["”)])\s+')
_ACCENTS = "\u0300-\u036f"
"""Marks that stand behind the letter that bears them."""

WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_ACCENTS}]|['’](?=[^\W_]))*")
"""A whole word: an apostrophe within it, and the accents of its letters, are part of it."""

GOES_ON = rf"[{_ACCENTS}]|['’](?=\w)"
"""What follows where a word is not over, though a `\\w+` is."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, stripped."""
    return [part.strip() for part in _END.split(text.strip()) if part.strip()]


def ended(text: str) -> str:
    """The text with a full stop, unless it ends like a sentence or a line of something else."""
    text = text.rstrip()
    return text if not text or re.search(r'[.!?:;"”)\]>*]$', text) else f"{text}."


def lowered(text: str) -> str:
    """The text with a small first letter, where its first word is no name for oneself."""
    first = re.match(r"\w+", text)
    if not first or first[0] == "I" or (len(first[0]) > 1 and first[0].isupper()):
        return text
    return text[0].lower() + text[1:]


def around(text: str, start: int, end: int, words: int = 2) -> str:
    """A place in a text with some words on either side."""
    before = re.findall(r"\S+\s*", text[:start])[-words:]
    after = re.findall(r"\s*\S+", text[end:])[:words]
    return " ".join(("".join(before) + text[start:end] + "".join(after)).split())


def in_groups(parts: list[str], number: int) -> list[list[str]] | None:
    """Parts shared out in order to so many groups; None where some would stay empty."""
    if len(parts) < number:
        return None
    size, more = divmod(len(parts), number)
    groups, start = [], 0
    for i in range(number):
        end = start + size + (i < more)
        groups.append(parts[start:end])
        start = end
    return groups
