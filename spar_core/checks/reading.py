"""The checks of a row of the input, as it may write them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks, arguments_of, checker_for, shortened
from spar_core.checks.library import checkers, one_at_a_time

CHECKS_COLUMN = "checks"
COMPLETE_COLUMN = "checks_complete"
IFEVAL_COLUMNS = ("instruction_id_list", "kwargs")
"""How IFEval's own files give the same."""


def read_checks(row: Mapping[str, Any]) -> list[Check] | None:
    """The checks of a row of the input: its column `checks`, or IFEval's own two columns.

    Raises:
        BadChecks: with the reason. NoChecker: there are checks, but no library.
    """
    value = _decoded(row.get(CHECKS_COLUMN), CHECKS_COLUMN)
    names = _decoded(row.get(IFEVAL_COLUMNS[0]), IFEVAL_COLUMNS[0])
    if value and names:
        raise BadChecks(f"both `{CHECKS_COLUMN}` and `{IFEVAL_COLUMNS[0]}`; one says it all")
    if names:
        value = in_two_columns(row)
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        raise BadChecks(f"`{CHECKS_COLUMN}` is {shortened(value)}, not a list")
    with one_at_a_time:
        return [read_check(each) for each in value]


def read_complete(row: Mapping[str, Any]) -> bool:
    """Whether a row says that its checks are all that its prompt asks for.

    IFEval's own files list every instruction of a prompt; other rows say so in `checks_complete`.

    Raises:
        BadChecks: it is neither true nor false.
    """
    value = row.get(COMPLETE_COLUMN)
    if isinstance(value, str):
        value = {"true": True, "false": False, "": None}.get(value.strip().lower(), value)
    if value is not None and not isinstance(value, bool):
        raise BadChecks(f"`{COMPLETE_COLUMN}` is {shortened(value)}, not true or false")
    return bool(row.get(IFEVAL_COLUMNS[0])) if value is None else value


def read_check(value: Any) -> Check:
    """Return a check as the run has it; to be called while nobody else uses the checkers.

    Raises:
        BadChecks: it cannot be meant.
    """
    name, given = named(value, checkers())
    arguments = arguments_of(name, given)
    checker_for(name, arguments)
    return Check(name, json.dumps(arguments, ensure_ascii=False))


def in_two_columns(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checks of a row as IFEval's own files give them, each an object of `id` and `kwargs`.

    Raises:
        BadChecks: they do not.
    """
    names, arguments = (_decoded(row.get(column), column) for column in IFEVAL_COLUMNS)
    if not isinstance(names, list) or not isinstance(arguments, list):
        raise BadChecks(f"`{IFEVAL_COLUMNS[0]}` and `kwargs` are not two lists")
    if len(names) != len(arguments):
        raise BadChecks(f"{len(names)} names in `{IFEVAL_COLUMNS[0]}`, {len(arguments)} `kwargs`")
    return [{"id": name, "kwargs": some} for name, some in zip(names, arguments, strict=True)]


def named(value: Any, known: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """A check's name and what is given with it.

    Raises:
        BadChecks: it is no check, or of no checker that is known.
    """
    if not isinstance(value, Mapping) or not set(value) <= {"id", "instruction_id", "kwargs"}:
        raise BadChecks(f"a check is an object of `id` and `kwargs`, not {shortened(value)}")
    name = value.get("id") or value.get("instruction_id")
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise BadChecks(f"no checker {shortened(name)}{hint}")
    given = _decoded(value.get("kwargs"), "kwargs")
    if isinstance(given, list) and all(isinstance(pair, tuple) for pair in given):
        given = {str(key): some for key, some in given}  # a map of Arrow's
    if given is not None and not isinstance(given, Mapping):
        raise BadChecks(f"{name}: `kwargs` is {shortened(given)}, not an object")
    return name, given or {}


def _decoded(value: Any, name: str) -> Any:
    """A value that may be written as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError) as error:
        raise BadChecks(f"`{name}` is no JSON: {error}") from None
