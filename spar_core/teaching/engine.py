"""The teacher that is a model: votes on a response, refinements of it, and filters on both.

What passes: a judgement in the wire format that the teacher's votes agree on; a refinement that
they pass and that stays close. Where a program can check, it has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spar_core.chat import TextOrChat
from spar_core.checked_judging import Task
from spar_core.checks.strict import check
from spar_core.conversation import Refinement, actor_messages, read_vote
from spar_core.decoding import SearchSettings, Team, decode
from spar_core.engine.protocol import ChatRequest, Engine, Sampling, seed_of
from spar_core.preference import similarity
from spar_core.teaching.closeness import closeness
from spar_core.teaching.lesson import Lesson, Lessons, Source, Taken
from spar_core.tree import TreeNode
from spar_core.voting import Judged, JudgeSettings, judge

AGREEMENT = 0.8
"""At least so many of the readable votes must say the same."""

Checks = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class TeachSettings:
    """judge: how the teacher votes. refine: how it refines; so many `refinements` of a response.
    closest: refinements less alike than this are left out.
    """

    judge: JudgeSettings
    refine: Sampling
    refinements: int
    closest: float
    constrained: bool = False


async def lessons(
    teacher: Engine,
    prompt: TextOrChat,
    checks: Checks | None,
    response: str,
    settings: TeachSettings,
    seed: int,
) -> Lessons:
    """What a model teaches on a response: its judgement; of a failing one refinements, and theirs.

    Raises:
        ItemError: a request could not be answered.
    """
    made = Lessons()
    judged = await judge(teacher, prompt, response, settings.judge, seed_of(seed, "judge"))
    checked = await check(checks, response)
    if not _judgement(made, "response", response, judged, checked) or judged.passed:
        return made
    search = SearchSettings(
        judge=settings.judge,
        sampling=settings.refine,
        strategy="bfs",
        branch=settings.refinements,
        keep=1,
        depth=1,
        budget=settings.refinements,
        constrained=settings.constrained,
    )
    team = Team(refiner=teacher, judge=teacher)
    tree = await decode(
        team, Task(prompt), search, seed_of(seed, "refine"), root=(response, judged)
    )
    made.taken += [Taken("refinement", "off_format")] * tree.malformed
    best: Lesson | None = None
    for node in tree.nodes[1:]:
        lesson = await _refinement(made, checks, response, judged, node, settings.closest)
        if lesson and (best is None or (lesson.value or 0) > (best.value or 0)):
            best = lesson
    made.learnt += [best] if best else []
    return made


def _judgement(
    made: Lessons, source: Source, response: str, judged: Judged, checked: bool | None
) -> bool:
    """Add the judgement of a text, unless a filter takes it; returns whether it was added."""
    cause = _doubt(judged, checked)
    if cause:
        made.taken.append(Taken("judgement", cause))
        return False
    label = "Yes" if judged.passed else "No"
    made.learnt.append(
        Lesson(
            source,
            response,
            judged.critique,
            label,
            value=judged.value,
            checked=checked,
            reasoning=judged.critique_reasoning,
        )
    )
    return True


def _doubt(judged: Judged, checked: bool | None) -> str:
    """Why a judgement is not to be learnt, "" where it is."""
    if judged.value is None or read_vote(judged.critique) is None:
        return "off_format"
    if max(judged.value, 1 - judged.value) < AGREEMENT or judged.verdict not in ("yes", "no"):
        return "votes_differ"
    if checked is not None and checked is not judged.passed:
        return "program_disagrees"
    return ""


async def _refinement(
    made: Lessons,
    checks: Checks | None,
    response: str,
    judged: Judged,
    node: TreeNode,
    closest: float,
) -> Lesson | None:
    """A refinement as a lesson, None where a filter takes it; adds its judgement."""
    checked = await check(checks, node.response)
    sure = _judgement(made, "refinement", node.response, node.judged, checked)
    is_same = node.response.strip() == response.strip()
    cause = ""
    if not node.judged.passed or checked is False:
        cause = "does_not_pass"
    elif not sure:
        cause = "votes_differ"
    elif is_same or closeness(checks, response, node.response) < closest:
        cause = "not_close"
    if cause:
        made.taken.append(Taken("refinement", cause))
        return None
    mended = Refinement(node.reflection, node.response)
    return Lesson(
        "response",
        response,
        judged.critique,
        None,
        mended,
        value=node.judged.value,
        checked=checked,
        similarity=similarity(response, node.response),
        reasoning=node.reasoning,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """A teacher's answer, and what its votes and the program say of it; cause: why it is left out,
    "" where it is not; reasoning: what the teacher thought before it, "" for nothing.
    """

    text: str
    value: float | None
    checked: bool | None
    cause: str
    reasoning: str = ""


async def answer(
    teacher: Engine,
    prompt: TextOrChat,
    checks: Checks | None,
    answering: Sampling,
    judging: JudgeSettings,
    seed: int,
) -> Answer:
    """A teacher's own answer to a prompt, which it must pass itself.

    Raises:
        ItemError: a request could not be answered.
    """
    asked = ChatRequest(
        messages=tuple(actor_messages(prompt)), sampling=answering, seed=seed_of(seed, "answer")
    )
    choice = (await teacher.chat(asked)).choices[0]
    text = choice.text.strip()
    if choice.is_cut or not text:
        return Answer(text, None, None, "cut_off" if text else "empty")
    judged = await judge(teacher, prompt, text, judging, seed_of(seed, "judge"))
    checked = await check(checks, text)
    cause = "" if judged.passed and checked is not False else "does_not_pass"
    return Answer(text, judged.value, checked, cause, choice.reasoning)
