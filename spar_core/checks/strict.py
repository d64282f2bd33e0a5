"""Whether responses follow their prompts: IFEval's strict measure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from spar_core.checks.arguments import arguments_of, checker_for
from spar_core.checks.library import checkers, one_at_a_time
from spar_core.checks.undecided import reason, warn

LONGEST = 20_000
"""Longer responses are not checked: the checkers' patterns take time quadratic in it (seconds)."""


async def check(checks: Sequence[Mapping[str, str]] | None, response: str) -> bool | None:
    """`follows`, beside the event loop."""
    return await asyncio.to_thread(follows, checks, response) if checks else None


def follows(checks: Sequence[Mapping[str, str]] | None, response: str) -> bool | None:
    """Whether a response passes all checks (IFEval, strict); an empty one passes none.

    Args:
        checks: as they stand in the table `prompts`.

    Returns:
        None without checks, and where one that would decide cannot be run.

    Raises:
        NoChecker: the library is not installed.
    """
    return passed(results(checks or (), response))


def results(checks: Sequence[Mapping[str, str]], response: str) -> tuple[bool | None, ...]:
    """Whether a response meets each of the checks; an empty one meets none.

    Returns:
        One entry a check, None where it could not be run.

    Raises:
        NoChecker: the library is not installed.
    """
    if not checks:
        return ()
    with one_at_a_time:
        checkers()
        if not response.strip():
            return (False,) * len(checks)
        return tuple(_run(check["id"], check["kwargs"], response) for check in checks)


def passed(found: Sequence[bool | None]) -> bool | None:
    """Whether all checks are met; None without any, and where one that would decide was not run."""
    if False in found:
        return False
    return None if None in found or not found else True


def share_met(found: Sequence[bool | None]) -> float | None:
    """The share of the checks that are met, of those that were run; None where none was."""
    run = [each for each in found if each is not None]
    return sum(run) / len(run) if run else None


def _run(name: str, arguments: str, response: str) -> bool | None:
    if len(response) > LONGEST:
        warn(name, f"a response is longer than {LONGEST} characters")
        return None
    try:
        checker = checker_for(name, arguments_of(name, json.loads(arguments)))
        return bool(checker.check_following(response))
    except Exception as error:
        warn(name, reason(error))
    return None
