"""What each level of an example of FollowBench adds, where that can be counted.

Two oddities of the published rules are kept, so that figures compare. A line break after the last
full stop makes one sentence more. In format 22 the numbers of the paragraphs count as sentences of
one word, so that its levels 4 and 5 (more than 20 words a sentence) cannot be met.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping


def _sentences(text: str) -> list[str]:
    return [part for part in re.split("[.!?]", text) if part]


def _has(word: str, text: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}\b", text))


def _film_star(answer: str, level: int) -> tuple[bool, ...]:
    found = _sentences(answer)
    first, second, third = (*found, "", "", "")[:3]
    return (
        len(found) == 3,
        all(len(sentence.split()) < 15 for sentence in found),
        _has("Potter", first) and _has("actor", second) and _has("films", third),
        not _has("lavish", second),
        bool(re.search(r"\b(?:has|have)\s+\w", third)),
    )


def _flood(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(_sentences(answer)) == 1,
        len(answer.split(" ")) < 20,
        not _has("Newton Stewart", answer),
        bool(re.search(r"\b(?:am|is|are)\s+\w+ing\b", answer)),
        _has("operation", answer),
    )


def _chores(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(_sentences(answer)) == 1,
        len(answer.split(" ")) < 15,
        _has("stuff", answer),
        "procrast" not in answer.lower(),
        sum(letter in string.punctuation for letter in answer) == 1,
    )


def _headline(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(answer.split(" ")) == 8,
        not set(answer) & set(string.punctuation),
        answer.islower(),
        not _has("bus", answer),
        _has("in", answer),
    )


def _abstract(answer: str, level: int) -> tuple[bool, ...]:
    return (
        len(_sentences(answer)) == 1,
        len(answer.split(" ")) <= 20,
        answer.startswith("We"),
        _has("activations", answer),
        not _has("transformer", answer),
    )


def _paragraphs(answer: str, level: int) -> tuple[bool, ...]:
    found = answer.split("\n\n")
    return (
        len(found) == (4 if level == 5 else 3),
        all(len(_sentences(paragraph)) < 3 for paragraph in found[:3]),
        all(len(sentence.split()) > 20 for sentence in _sentences(answer)),
        all(re.match(r"\d+\.", each.lstrip()) for each in found if each.strip()),
        answer.endswith("Those are suggestions"),
    )


def _bold_points(answer: str, level: int) -> tuple[bool, ...]:
    found = re.split(r"(?<=[.?])(?<!\w\.\w.)(?<![A-Z][a-z]\.)\s", answer)
    points = [each for each in found if re.search(r"[1-5]\.", each)]
    return (
        "**" in answer,
        len(re.findall(r"\*\*\d.+?:", answer)) == 5,
        all(point.count(".") < 2 for point in points),
        all(10 <= len(each.split()) <= 15 for each in found),
        not any(word.endswith("-ly") for word in answer.split()),
    )


FORMATS = (22, 30)
"""Examples of the category `format` whose conditions stand here."""

CONDITIONS: Mapping[str, Callable[[str, int], tuple[bool, ...]]] = {
    "cnn_dailymail": _film_star,
    "xsum": _flood,
    "samsum": _chores,
    "gigaword": _headline,
    "arxiv": _abstract,
    "format 22": _paragraphs,
    "format 30": _bold_points,
}
"""By source, or by example, what its levels add; an answer to level n must meet the first n."""
