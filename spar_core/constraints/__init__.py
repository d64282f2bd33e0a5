"""Constraints that a program can state, check, criticise and mend: the taxonomy of rules.

A new kind is an entry here. The checkers that decide are those of `spar_core.checks`.
"""

from __future__ import annotations

from spar_core.constraints import edges, layout, length, marks, words
from spar_core.constraints.kind import Kind

KINDS: dict[str, Kind] = {
    kind.id: kind
    for kind in (
        *(words.EXISTENCE, words.FORBIDDEN, words.FREQUENCY),
        *(marks.LOWERCASE, marks.CAPITAL, marks.NO_COMMA, marks.QUOTATION),
        *(edges.OPENING, edges.CLOSING, edges.POSTSCRIPT),
        *(layout.BULLETS, layout.TITLE, layout.HIGHLIGHTS, layout.SECTIONS, layout.PARAGRAPHS),
        *(layout.PLACEHOLDERS, layout.JSON, layout.REPEAT),
        *(length.WORDS, length.SENTENCES),
    )
}
"""By the id of the checker."""


def go_together(one: Kind, other: Kind) -> bool:
    """Whether a prompt can ask for both."""
    return one is not other and other.id not in one.excludes and one.id not in other.excludes
