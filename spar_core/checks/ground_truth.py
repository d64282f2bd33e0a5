"""Constraints that sets for reinforcement learning keep in a column `ground_truth`, as checks.

Such a set (RLVR, with instructions to follow) writes IFEval's names and arguments as one text, JSON
or a Python literal: `[{"instruction_id": ["punctuation:no_comma"], "kwargs": [null]}]`.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.library import checkers, one_at_a_time
from spar_core.checks.reading import read_check

GROUND_TRUTH = "ground_truth"

_NAMES = ("instruction_id", "instruction_id_list")


class Understood(NamedTuple):
    """The checks of a ground truth, and what of it is none, in words."""

    checks: list[Check]
    unread: tuple[str, ...]


def read_ground_truth(value: Any) -> Understood:
    """Read the constraints of a ground truth; one that holds none, as an answer, gives none.

    A constraint that no checker here checks, or not with these arguments, is told of.

    Raises:
        NoChecker: there are constraints, but no library.
    """
    found = list(_constraints(value))
    unread: dict[str, None] = {}
    if None in found:
        unread[f"`{GROUND_TRUTH}` with `func_name` is not understood"] = None
    constraints = [each for each in found if each is not None]
    if not constraints:
        return Understood([], tuple(unread))
    checks: list[Check] = []
    known = checkers()
    with one_at_a_time:
        for name, arguments in constraints:
            try:
                checks.append(read_check({"id": name, "kwargs": arguments}))
            except BadChecks:
                what = "no checker for these arguments of" if name in known else "no checker for"
                unread[f"{what} `{name}` of `{GROUND_TRUTH}`"] = None
    return Understood(checks, tuple(unread))


def _constraints(value: Any) -> Iterator[tuple[str, Any] | None]:
    """Yield the names of constraints with their arguments; None for one in another form."""
    decoded = _decoded(value) if isinstance(value, str) else value
    for each in decoded if isinstance(decoded, list) else [decoded]:
        if not isinstance(each, Mapping):
            continue
        if "func_name" in each:
            yield None
        names = next((each[key] for key in _NAMES if each.get(key)), None)
        arguments = each.get("kwargs")
        if isinstance(names, str):
            names, arguments = [names], [arguments]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            continue
        given = arguments if isinstance(arguments, list) else []
        for number, name in enumerate(names):
            yield name, given[number] if number < len(given) else None


def _decoded(text: str) -> Any:
    """Return what a text writes down as JSON or as Python does; None for another text."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return read(text)
    return None
