"""How close a refinement is to what it refines, as a filter on lessons sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spar_core.constraints.marks import CAPITAL_ID, LOWERCASE_ID
from spar_core.preference import similarity

_OF_CASE = frozenset({CAPITAL_ID, LOWERCASE_ID})


def closeness(checks: Sequence[Mapping[str, str]] | None, response: str, refinement: str) -> float:
    """Return how alike two texts are, 0 to 1.

    Where a check asks for a letter case, case does not count: else a text and the same text in
    capitals would be far apart, though nothing but what was asked for has changed.
    """
    if any(check["id"] in _OF_CASE for check in checks or ()):
        return similarity(response.casefold(), refinement.casefold())
    return similarity(response, refinement)
