"""The arguments of a checker: all of them, each of its kind, and meant as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from spar_core.checks.library import checkers, one_at_a_time

_LISTS = ("keywords", "forbidden_words")
_PATTERNS = (*_LISTS, "keyword", "section_spliter", "postscript_marker")
"""Arguments that a checker makes part of a pattern."""
_POSTSCRIPTS = ("P.S.", "P.P.S")
"""Markers that the postscript checker has patterns of its own for."""


class BadChecks(Exception):
    """Checks that cannot be meant."""


def arguments_of(checker: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a checker, each of its kind; those given as null count as not given.

    Raises:
        BadChecks: one is missing, too many, or of another kind.
    """
    some = {key: value for key, value in sorted(given.items()) if value is not None}
    wanted = set(checkers()[checker](checker).get_instruction_args_keys())
    if set(some) != wanted:
        names = ", ".join(sorted(wanted)) or "none"
        raise BadChecks(
            f"{checker}: its arguments are {names}, not {', '.join(some)[:80] or 'none'}"
        )
    return {key: _argument(checker, key, value) for key, value in some.items()}


def _argument(checker: str, name: str, value: Any) -> Any:
    """An argument of its kind; the checkers themselves take any and stumble over it later."""
    if name.startswith(("num_", "nth_")) or name.endswith("frequency"):
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        wanted = "a whole number"
    elif name in _LISTS:
        if isinstance(value, list) and value and all(map(_is_text, value)):
            return value
        wanted = "a list of texts"
    else:
        if _is_text(value):
            return value
        wanted = "text"
    raise BadChecks(f"{checker}: {name} is {shortened(value)}, not {wanted}")


def _is_text(value: Any) -> bool:
    return (
        isinstance(value, str) and bool(value.strip()) and not re.search("[\ud800-\udfff]", value)
    )


def checker_for(name: str, arguments: Mapping[str, Any]) -> Any:
    """A checker that checks for these arguments.

    Raises:
        BadChecks: it would put in something else: the checkers draw at random what is not given
            or out of range.
    """
    checker = checkers()[name](name)
    literal = {key: _literal(key, value) for key, value in arguments.items()}
    try:
        if arguments.get("nth_paragraph", 0) > arguments.get("num_paragraphs", 0):
            raise ValueError("nth_paragraph is more than num_paragraphs")
        checker.build_description(**literal)
        kept = checker.get_instruction_args() or {}
    except Exception as error:
        raise BadChecks(f"{name}: {shortened(arguments)}: {error}") from None
    strange = [key for key in literal if normal(kept.get(key)) != normal(literal[key])]
    if strange:
        raise BadChecks(f"{name}: no such {strange[0]}: {shortened(arguments[strange[0]])}")
    return checker


def described(name: str, arguments: Mapping[str, Any]) -> str:
    """What a checker asks for, in its own words: IFEval's sentence for the instruction."""
    with one_at_a_time:
        checker = checkers()[name](name)
        return " ".join(str(checker.build_description(**arguments)).split())


def _literal(name: str, value: Any) -> Any:
    """Text that goes into a pattern stands for itself: `C++` is a keyword, not an expression."""
    if name not in _PATTERNS or value in _POSTSCRIPTS:
        return value
    return [*map(re.escape, value)] if isinstance(value, list) else re.escape(value.strip())


def normal(value: Any) -> Any:
    """Equal for what the checkers take as the same."""
    if isinstance(value, list):
        return sorted(set(value))
    return value.strip().lower() if isinstance(value, str) else value


def shortened(value: Any) -> str:
    """A value as it is shown in a message."""
    return json.dumps(value, ensure_ascii=False, default=str)[:80]
