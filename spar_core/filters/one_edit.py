"""Texts inside other ones, word for word or with one word changed, left out or put in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is known of a text beside one half of it: which text, and its other half."""

    text: int
    words: Words
    is_before: bool


@dataclass(frozen=True, slots=True)
class OneEdit:
    """Finds known texts in others.

    One edit leaves one of a text's halves as it was. So halves are looked up, and what is beside
    one is compared with the other half.

    lengths: of the halves that begin with two words. halves: what belongs to each.
    """

    lengths: dict[Words, set[int]] = field(default_factory=lambda: defaultdict(set))
    halves: dict[Words, list[_Rest]] = field(default_factory=lambda: defaultdict(list))

    def add(self, text: int, words: Words) -> None:
        """Know a text of four words or more, by its number."""
        middle = len(words) // 2
        first, second = words[:middle], words[middle:]
        for half, rest in ((first, _Rest(text, second, False)), (second, _Rest(text, first, True))):
            self.lengths[half[:2]].add(len(half))
            self.halves[half].append(rest)

    def found(self, words: Words) -> tuple[int, int] | None:
        """The first known text that is in these words, and in how many edits, 0 or 1."""
        best: tuple[int, int] | None = None
        for start in range(len(words) - 1):
            for length in sorted(self.lengths.get(words[start : start + 2], ())):
                end = start + length
                for rest in self.halves.get(words[start:end], ()):
                    size = len(rest.words) + 1
                    if rest.is_before:
                        beside = words[max(0, start - size) : start][::-1]
                        edits = _edits(beside, rest.words[::-1])
                    else:
                        edits = _edits(words[end : end + size], rest.words)
                    if edits == 0:
                        return rest.text, 0
                    if edits == 1 and best is None:
                        best = rest.text, 1
        return best


def _edits(words: Sequence[str], wanted: Sequence[str]) -> int | None:
    """In how many edits, 0 or 1, words begin with those wanted; None for more."""
    size = len(wanted)
    same = 0
    while same < min(size, len(words)) and words[same] == wanted[same]:
        same += 1
    if same == size:
        return 0
    changed = words[same + 1 : size] == wanted[same + 1 :]
    left_out = words[same : size - 1] == wanted[same + 1 :]
    put_in = words[same + 1 : size + 1] == wanted[same:]
    return 1 if changed or left_out or put_in else None
