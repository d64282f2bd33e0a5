"""Teach: a teacher judges and refines the actor's answers, for a first refiner to learn."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.drops import Drop
from schemas.pairs import Message
from schemas.responses import WHOLE
from schemas.sft_actor import SftActor
from schemas.sft_refiner import SftRefiner
from spar_core.chat import TextOrChat, prompt_of
from spar_core.constraints import wordings
from spar_core.dataset import Rows
from spar_core.engine.protocol import Sampling, seed_of
from spar_core.ids import sft_id
from spar_core.preference import (
    answer_conversation,
    judge_conversation,
    refine_conversation,
)
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import CONSTRAINED, is_constrained
from spar_core.stages.sample import SAMPLE
from spar_core.teaching import engine, rules
from spar_core.teaching.lesson import Lesson, Lessons
from spar_core.voting import JudgeSettings

_BALANCE = (Path(__file__).parent / "balance.sql").read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesSettings(StageSettings):
    """closest: refinements less alike than this are left out. wording: what is said of responses,
    as a hash.
    """

    closest: float
    wording: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings(StageSettings):
    """How a model teaches."""

    teach: engine.TeachSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings(StageSettings):
    """How a teacher answers, and how it judges its answers."""

    answer: Sampling
    judge: JudgeSettings


async def _teach_by_rules(context: Context[RulesSettings], item: Item) -> Rows:
    settings = context.settings
    made = await asyncio.to_thread(
        rules.lessons, item["checks"], item["response"], _seed(context, item), settings.closest
    )
    rows = _rows(context, item, made, rules.NAME)
    if made.answer is not None:
        is_own = made.answer == item["response"]
        rows["sft_actor"] = [
            SftActor(
                sft_id=sft_id(item["key"], "answer", context.variant),
                messages=answer_conversation(prompt_of(item), made.answer),
                prompt_id=item["prompt_id"],
                source="response" if is_own else "repair",
                teacher=rules.NAME,
                response_id=item["key"],
                checked=True,
                reasoning=item["reasoning"] if is_own else None,
            )
        ]
    return rows


async def _teach_by_engine(context: Context[EngineSettings], item: Item) -> Rows:
    teacher = context.engines["teacher"]
    made = await engine.lessons(
        teacher,
        prompt_of(item),
        item["checks"],
        item["response"],
        context.settings.teach,
        _seed(context, item),
    )
    return _rows(context, item, made, teacher.name)


async def _answer(context: Context[AnswerSettings], item: Item) -> Rows:
    settings, teacher = context.settings, context.engines["teacher"]
    made = await engine.answer(
        teacher,
        prompt_of(item),
        item["checks"],
        settings.answer,
        settings.judge,
        _seed(context, item),
    )
    if made.cause:
        return {"drops": [Drop("answer", item["key"], "answer", made.cause, prompt_id=item["key"])]}
    name = sft_id(f"i{context.iteration}.{item['key']}", "answer", context.variant)
    said = answer_conversation(prompt_of(item), made.text)
    row = SftActor(
        sft_id=name,
        messages=said,
        prompt_id=item["key"],
        source="answer",
        teacher=teacher.name,
        value=made.value,
        checked=made.checked,
        reasoning=made.reasoning or None,
    )
    return {"sft_actor": [row]}


async def _balance(context: Context[StageSettings], item: Item) -> Rows:
    columns = {name: value for name, value in item.items() if name not in ("key", "variant")}
    columns["messages"] = [Message(**message) for message in columns["messages"]]
    return {"sft_refiner": [SftRefiner(**columns)]}


def _seed(context: Context[Any], item: Item) -> int:
    return seed_of(context.settings.seed, context.iteration, "teach", item["key"])


def _rows(context: Context[Any], item: Item, made: Lessons, teacher: str) -> Rows:
    """Lessons, and what filters took, as rows."""
    lessons = []
    for number, lesson in enumerate(made.learnt):
        task = "judge" if lesson.refinement is None else "refine"
        lessons.append(
            SftRefiner(
                sft_id=sft_id(item["key"], f"{task}{number}", context.variant),
                messages=_conversation(prompt_of(item), lesson),
                task=task,
                label=lesson.label,
                source=lesson.source,
                teacher=teacher,
                prompt_id=item["prompt_id"],
                response_id=item["key"],
                value=lesson.value,
                checked=lesson.checked,
                similarity=lesson.similarity,
                reasoning=lesson.reasoning or None,
            )
        )
    drops = [
        Drop("teach", item["key"], taken.what, taken.cause, taken.message, None, item["prompt_id"])
        for taken in made.taken
    ]
    return {"lessons": lessons, "drops": drops}


def _conversation(prompt: TextOrChat, lesson: Lesson) -> list[Message]:
    if lesson.refinement is None:
        return judge_conversation(prompt, lesson.response, lesson.critique)
    return refine_conversation(prompt, lesson.response, lesson.critique, lesson.refinement)


def _add_closest(group: Any) -> None:
    group.add_argument(
        "--closest",
        type=drawing.between(0, 1),
        default=0.5,
        metavar="S",
        help="refinements less similar to what they refine are left out (default: 0.5)",
    )


def _add_teaching(group: Any) -> None:
    group.add_argument(
        "--teach_votes",
        type=drawing.whole(1),
        default=5,
        metavar="N",
        help="votes of the teacher on a text; 4 of 5 must agree (default: 5)",
    )
    group.add_argument(
        "--refinements",
        type=drawing.whole(1),
        default=3,
        metavar="N",
        help="refinements of a failing answer, of which the best is kept (default: 3)",
    )
    for drawn in (drawing.TEACH_JUDGE, drawing.TEACH_REFINE, drawing.TEACH_ANSWER):
        drawn.add(group)


CLOSENESS = Options("what is left out", _add_closest)
TEACHING = Options("teaching", _add_teaching)


def _voting(options: Namespace) -> JudgeSettings:
    return JudgeSettings(
        drawing.TEACH_JUDGE.read(options),
        options.teach_votes,
        options.teach_votes // 2 + 1,
        is_constrained(options, "teacher"),
    )


def _engine_settings(options: Namespace) -> EngineSettings:
    return EngineSettings(
        seed=options.seed,
        teach=engine.TeachSettings(
            judge=_voting(options),
            refine=drawing.TEACH_REFINE.read(options),
            refinements=options.refinements,
            closest=options.closest,
            constrained=is_constrained(options, "teacher"),
        ),
    )


_RESPONSES = f"""
    select response_id as key, prompt_id, prompt, earlier_turns, checks, response, reasoning
    from responses join prompts using (prompt_id)
    where {WHOLE} and prompt_id in (select prompt_id from scope)"""

TEACH_BY_RULES = Stage(
    name="teach",
    noun="responses",
    items=_RESPONSES,
    task=_teach_by_rules,
    settings=lambda options: RulesSettings(
        seed=options.seed, closest=options.closest, wording=wordings.fingerprint()
    ),
    writes=("lessons", "sft_actor", "drops"),
    options=(CLOSENESS,),
    after=(SAMPLE,),
    trains=True,
)

TEACH_BY_ENGINE = Stage(
    name="teach",
    noun="responses",
    items=_RESPONSES,
    task=_teach_by_engine,
    settings=_engine_settings,
    writes=("lessons", "drops"),
    options=(CLOSENESS, TEACHING, CONSTRAINED),
    after=(SAMPLE,),
    roles=("teacher",),
    trains=True,
)

ANSWER = Stage(
    name="answer",
    noun="prompts",
    items="""
        select prompt_id as key, prompt_id, prompt, earlier_turns, checks from prompts
        where prompt_id in (select prompt_id from scope)""",
    task=_answer,
    settings=lambda options: AnswerSettings(
        seed=options.seed, answer=drawing.TEACH_ANSWER.read(options), judge=_voting(options)
    ),
    writes=("sft_actor", "drops"),
    options=(TEACHING, CONSTRAINED),
    roles=("teacher",),
    trains=True,
)


def _balancing(teach: Stage[Any]) -> Stage[StageSettings]:
    """As many judgements that say Yes as No of each kind of constraint, each text judged once."""
    return Stage(
        name="balance",
        noun="lessons",
        items=_BALANCE,
        task=_balance,
        settings=lambda options: StageSettings(seed=options.seed),
        writes=("sft_refiner",),
        after=(teach,),
        replaces=True,
        trains=True,
    )


TEACHERS: dict[str, tuple[Stage[Any], ...]] = {
    rules.NAME: (SAMPLE, TEACH_BY_RULES, _balancing(TEACH_BY_RULES)),
    "engine": (SAMPLE, ANSWER, TEACH_BY_ENGINE, _balancing(TEACH_BY_ENGINE)),
}
"""The stages of a bootstrap by the kind of teacher."""
