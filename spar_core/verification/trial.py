"""Trying a function that a model wrote: what it says of answers, in the sandbox only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from spar_core import sandbox
from spar_core.sandbox import Ran

NAME = "evaluate"

_EACH = f"""

def _each(responses):
    answers = []
    for response in responses:
        try:
            answer = {NAME}(response)
        except BaseException:
            answer = None
        answers.append(answer if answer is True or answer is False else None)
    return answers
"""
"""Put behind the function, so that one program asks it of all answers."""

_THREADS = ThreadPoolExecutor(os.cpu_count() or 1, "sandbox")
"""As many as the sandbox has turns, and none of those that others wait for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the sandbox gives a function for all the answers that it is asked of at once."""

    seconds: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What a function said.

    outcome: `ran`, or as of the sandbox; `failed` where it said nothing of any answer.
    message: why it said nothing of some, "" where it did of all. answers: of each answer True or
    False, None where it said neither.
    """

    outcome: Literal["ran", "failed", "limit", "unsupported"]
    message: str
    answers: tuple[bool | None, ...]


async def tried(code: str, responses: Sequence[str], limits: Limits) -> Trial:
    """`trial`, beside the event loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, trial, code, responses, limits)


def trial(code: str, responses: Sequence[str], limits: Limits) -> Trial:
    """Ask a function of answers, all at once; where it fails on some, then of the first of these.

    Args:
        code: a program that defines `evaluate`.

    Raises:
        NoLibrary: there is no sandbox here.
    """
    all_at_once = _call(code + _EACH, "_each", [list(responses)], limits)
    answers = _read(all_at_once, len(responses))
    if None not in answers and all_at_once.outcome == "passed":
        return Trial("ran", "", answers)
    if all_at_once.outcome != "passed":
        return Trial(all_at_once.outcome, all_at_once.message, answers)
    first = _call(code, NAME, [responses[answers.index(None)]], limits)
    message = first.message or "it returned neither True nor False"
    if first.outcome in ("limit", "unsupported"):
        return Trial(first.outcome, message, answers)
    return Trial("ran" if any(a is not None for a in answers) else "failed", message, answers)


def _call(code: str, function: str, arguments: list[object], limits: Limits) -> Ran:
    return sandbox.call(
        code, function, arguments, seconds=limits.seconds, memory_mb=limits.memory_mb
    )


def _read(ran: Ran, count: int) -> tuple[bool | None, ...]:
    """The answers, whatever a program has made of the function that collects them."""
    value = ran.value if isinstance(ran.value, list) and len(ran.value) == count else [None] * count
    return tuple(answer if isinstance(answer, bool) else None for answer in value)
