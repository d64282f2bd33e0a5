"""Two texts as one, with what was taken out and what was put in marked word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import Indel

MAX_TOKENS = 20_000
"""Longer texts are compared by lines; with more lines than this they are not compared at all."""

_APART = r"\s!-/:-@\[-`{-~\u00a1-\u00bf\u2000-\u200b\u200e-\u206f\u3000-\u303f\uff00-\uff0f"
"""Spaces and punctuation; joiners inside of words and emoji are not among them."""

_SINGLE = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"
"""Scripts without spaces: a letter is a word."""

_WORDS = re.compile(rf"[^{_APART}{_SINGLE}]+|[{_SINGLE}]|\s+|.")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_NO_WORD = re.compile(rf"[{_APART}]*")


def marked(before: str, after: str) -> list[str]:
    """What both texts share and where they differ: `[same, out, in, same, out, in, ...]`.

    The parts that are `same` or `out` make up `before`, those that are `same` or `in` make up
    `after`.
    """
    if before == after:
        return [before, "", ""]
    for tokens in (_WORDS, _LINES):
        old, new = tokens.findall(before), tokens.findall(after)
        if max(len(old), len(new)) <= MAX_TOKENS:
            return [part for change in _changes(old, new) for part in change]
    return ["", before, after]


def _changes(old: Sequence[str], new: Sequence[str]) -> list[list[str]]:
    """[same, out, in] in turn; where no word stands between two changes they are one."""
    changes = [["", "", ""]]
    for step in Indel.opcodes(old, new):
        out = "".join(old[step.src_start : step.src_end])
        if step.tag == "equal":
            changes.append([out, "", ""])
        else:
            changes[-1][1] += out
            changes[-1][2] += "".join(new[step.dest_start : step.dest_end])
    joined = [changes[0]] if any(changes[0]) else []
    for change in changes[1:]:
        same, out, put = change
        if joined and any(joined[-1][1:]) and (out or put) and _NO_WORD.fullmatch(same):
            joined[-1][1] += same + out
            joined[-1][2] += same + put
        else:
            joined.append(change)
    return joined
