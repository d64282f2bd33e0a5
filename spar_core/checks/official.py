"""The checks of a benchmark, as its own code has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks, normal, shortened
from spar_core.checks.library import LM_EVAL, Library, checkers, offline, one_at_a_time
from spar_core.checks.reading import in_two_columns, named
from spar_core.checks.undecided import Undecided, reason, warn


def official(
    check: Check, prompt: str, responses: Sequence[str], library: Library = LM_EVAL
) -> bool:
    """Whether one of the responses passes a check, as a benchmark's own code has it.

    Unlike for `follows`, keywords are patterns and no response is too long. Only what the library
    leaves to chance is not: it puts a random argument for one that it takes for out of range
    (IFEval's letters `#` and `!`, IFBench's first word 0); here the benchmark's own counts.

    Raises:
        Undecided: it cannot be run. NoChecker: the library is not installed.
    """
    with one_at_a_time:
        checkers(library)
        try:
            checker = _checker(check.id, json.loads(check.kwargs), prompt, library)
            with offline():
                return any(each.strip() and checker.check_following(each) for each in responses)
        except Exception as error:
            why = reason(error)
            warn(check.id, why, "its prompts are not scored")
            raise Undecided(why) from None


def read_official(row: Mapping[str, Any], library: Library = LM_EVAL) -> list[Check]:
    """The checks of a benchmark's row, in IFEval's two columns, with the arguments as they are.

    Raises:
        BadChecks: with the reason. NoChecker: the library is not installed.
    """
    values = in_two_columns(row)
    with one_at_a_time:
        found = []
        for value in values:
            name, given = named(value, checkers(library))
            some = {key: value for key, value in given.items() if value is not None}
            _checker(name, some, "", library)
            found.append(Check(name, json.dumps(some, ensure_ascii=False)))
        return found


def _checker(name: str, given: Mapping[str, Any], prompt: str, library: Library) -> Any:
    """A checker made as the library's own code makes it, for the arguments that are given.

    Raises:
        BadChecks: one is missing, or cannot be meant.
    """
    kind = checkers(library).get(name)
    if kind is None:
        raise BadChecks(f"no checker {shortened(name)}")
    checker = kind.__new__(kind)  # lighteval's constructor asks for data that no checker uses
    try:
        checker.build_description(**given)
        kept = checker.get_instruction_args() or {}
        if "prompt" in kept:
            checker.build_description(prompt=prompt)
        elif missing := sorted(set(kept) - set(given)):
            raise ValueError(f"{missing[0]} is missing")
        for key in _strange(given, kept):
            setattr(checker, f"_{key}", given[key])
        if strange := _strange(given, checker.get_instruction_args() or {}):
            raise ValueError(f"no such {strange[0]}")
    except Exception as error:
        raise BadChecks(f"{name}: {shortened(given)}: {error}") from None
    return checker


def _strange(given: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    """Arguments for which a checker has put in something else."""
    return [key for key in given if key in kept and normal(kept[key]) != normal(given[key])]
