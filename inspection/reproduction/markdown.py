"""Text as Markdown that shows it and does nothing else, and tables of such text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from terminal.text import as_text

_ACTIVE = re.compile(r"([\\`*_|&~$#!]|<(?! )|\](?=[(\[:])|^>|^[-+](?= |$))")
"""What starts or ends something. Brackets alone do not: figures have them for their intervals."""

_BACKTICKS = re.compile(r"`+")


class Markdown(str):
    """Text that is Markdown already and is not escaped again."""

    __slots__ = ()


def escaped(text: str) -> Markdown:
    """Return Markdown that shows a text as it is, on one line.

    Text that is Markdown already is returned unchanged.
    """
    if isinstance(text, Markdown):
        return text
    return Markdown(_ACTIVE.sub(r"\\\1", _one_line(text)))


def code(text: str) -> Markdown:
    """Return a text as inline code, for use outside of tables."""
    shown = _one_line(text)
    longest = max((len(run) for run in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return Markdown(f"{fence}{space}{shown}{space}{fence}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markdown:
    """Return a table; cells are escaped unless they are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(escaped, cells))} |" for cells in lines))


def _one_line(text: str) -> str:
    return " ".join(as_text(text).split())
