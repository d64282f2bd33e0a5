"""Judging with the program's word: what votes and checks together say of a response.

External truth for what a program can decide, a model's judgement for the rest (VerIF,
arXiv 2506.09942); under `report` the paper's behaviour (SPaR, arXiv 2412.11605).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from spar_core.chat import TextOrChat
from spar_core.checks.strict import passed, results, share_met
from spar_core.constraints import wordings
from spar_core.constraints.critique import critique
from spar_core.engine.protocol import Engine
from spar_core.voting import Checks, Judged, JudgeSettings, judge

PROGRAM = "program"
"""What made a judgement, as the column `model` has it, where no judge was asked."""


SHORTEST_GUESSED = 80
"""Of shorter texts (characters) the language is not guessed: langdetect takes `fresh bread daily`
for another than English."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a response is judged by.

    checks: as they stand in the table `prompts`; None or empty where the prompt has none.
    is_complete: whether the checks decide all that the prompt asks for
        (`prompts.checks_complete`).
    """

    prompt: TextOrChat
    checks: Sequence[Mapping[str, str]] | None = None
    is_complete: bool = False


async def judge_checked(
    engine: Engine, task: Task, response: str, settings: JudgeSettings, seed: int
) -> Judged:
    """Judge a response by votes, by the checks of its prompt, or by both (`settings.checks`).

    Under `decide` no vote is asked for where the checks are complete and all of them could be run.

    Raises:
        ItemError: the judge could not answer, or checks need a library that is not installed.
    """
    found = await run_checks(task, response)
    if settings.checks == "decide" and task.is_complete and found and None not in found:
        return by_program(task, response, found, seed)
    judged = await judge(engine, task.prompt, response, settings, seed)
    return with_checks(judged, task, response, found, settings, seed)


def wording(checks: Checks) -> dict[str, str]:
    """What a program's checks say of responses, as a setting; nothing where they say nothing."""
    return {} if checks == "report" else {"judge.wording": wordings.fingerprint()}


async def run_checks(task: Task, response: str) -> tuple[bool | None, ...]:
    """Whether each check of the prompt is met, beside the event loop; empty without checks.

    None of a check that could not be run, and of one whose No is a guess.
    """
    if not task.checks:
        return ()
    found = await asyncio.to_thread(results, task.checks, response)
    return tuple(
        None if is_met is False and _is_guessed(check["id"], response) else is_met
        for check, is_met in zip(task.checks, found, strict=True)
    )


def _is_guessed(name: str, response: str) -> bool:
    """Whether a checker that said no did so for a guess alone: of the language, which of a few
    words cannot be told. That their letters are small or capital can be.
    """
    if len(response) >= SHORTEST_GUESSED or not response.strip():
        return False
    if name == "change_case:english_lowercase":
        return response.islower()
    if name == "change_case:english_capital":
        return response.isupper()
    return name == "language:response_language"


def with_checks(
    judged: Judged,
    task: Task,
    response: str,
    found: Sequence[bool | None],
    settings: JudgeSettings,
    seed: int,
) -> Judged:
    """A judgement by votes, and what the program makes of it.

    A response that the program denies has the outcome `no`, whatever the votes say, and a critique
    that says so: a vote's where one says No, else the program's. A response that complete checks
    let pass and the judge does not is `disputed`: it neither passes nor fails.

    Args:
        found: whether each check is met.
    """
    checked = passed(found)
    judged = replace(judged, checked=checked)
    if settings.checks == "report" or not found:
        return judged
    judged = replace(judged, checks_met=share_met(found))
    if checked is False:
        text = judged.critique
        if judged.verdict == "yes" or not judged.no_votes:
            said = [ballot.text for ballot in judged.ballots if ballot.vote == "No"]
            text = said[0] if said else critique(task.checks or (), found, response, Random(seed))
        return replace(judged, outcome="no", critique=text)
    if checked and task.is_complete and judged.verdict == "no":
        return replace(judged, outcome="disputed")
    return judged


def by_program(task: Task, response: str, found: Sequence[bool | None], seed: int) -> Judged:
    """The judgement that the checks alone give; all of them were run."""
    is_met = bool(passed(found))
    return Judged(
        ballots=(),
        verdict="yes" if is_met else "no",
        value=float(is_met),
        critique=critique(task.checks or (), found, response, Random(seed)),
        checked=is_met,
        checks_met=share_met(found),
        by_program=True,
    )
