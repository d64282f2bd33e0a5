"""The stages of an evaluation: a decoder answers, a program and a judge score, figures are made.

Answers to a benchmark's prompts and refinements of a run's failing answers go through stages of
their own (`decode`, `check`, `grade`, `figures`; the others end in `_refined`): the one asks the
actor first, the other the refiner alone.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from evaluation.benchmark import Finding, Scored
from evaluation.benchmarks import BENCHMARKS
from schemas.answers import Answer
from schemas.evaluations import Evaluation
from schemas.items import Item as BenchmarkItem
from schemas.prompts import Check
from schemas.scores import Score
from spar_core.checked_judging import PROGRAM, Task
from spar_core.dataset import Rows
from spar_core.decoding.settings import Strategy
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Message, Sampling, seed_of
from spar_core.engine.reasoning import unanswered
from spar_core.ids import answer_id
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import decode
from spar_core.stages.decode import DecodeSettings, answer_row, best_answer
from spar_core.stages.judge import CONSTRAINED, FEWER_VOTES, VOTING, voting
from spar_core.voting import Checks, JudgeSettings, judge

REFINED = "_refined"

_INTAKE = "items"


def _add_checks(group: Any) -> None:
    group.add_argument(
        "--checks",
        choices=get_args(Checks),
        default="report",
        help="what the checks of a benchmark's items do for a decoder, beside its judge; with veto "
        "or decide it knows what it will be scored by, so that the score is an upper bound "
        "(default: report, nothing)",
    )


CHECKS_OF_ITEMS = Options("items with checks", _add_checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeSettings(StageSettings):
    """judge: how it votes. wording: what it is asked, as a hash, by the benchmarks that have
    questions of their own.
    """

    judge: JudgeSettings
    wording: Mapping[str, str]


async def _decode(context: Context[DecodeSettings], item: Item) -> Rows:
    kind = BENCHMARKS[item["benchmark"]].answers
    if kind == "chat":
        return {"answers": [await _chat(context, item)]}
    if kind == "turns":
        return {"answers": [await _turns(context, item)]}
    settings, key = context.settings, item["key"]
    seed = decode.seed(settings, context.iteration, key)
    root = None
    if item["given"] is not None:
        # It is refined whatever the refiner says of it: that it failed is known.
        found = await judge(
            context.engines["refiner"], item["prompt"], item["given"], settings.search.judge, seed
        )
        root = (item["given"], replace(found, verdict="no"))
    # What counts for nothing is not run: whoever answers needs no checkers.
    checks = None if settings.search.judge.checks == "report" else item["checks"]
    task = Task(item["prompt"], checks, is_complete=True)
    grown = await best_answer(context.engines, settings, task, seed, root)
    model = context.engines.get("actor") or context.engines["refiner"]
    name = answer_id(context.iteration, key, context.variant)
    row = answer_row(key, item["benchmark"], grown, settings, model.name, name)
    if root:
        said = root[1]
        row = replace(
            row,
            prompt_tokens=row.prompt_tokens + said.prompt_tokens,
            completion_tokens=row.completion_tokens + said.completion_tokens,
        )
    return {"answers": [row]}


async def _chat(context: Context[DecodeSettings], item: Item) -> Answer:
    """The answer to a chat as the benchmark writes it, whatever else is decoded."""
    key, actor = item["key"], context.engines["actor"]
    chat = json.loads(item["details"])["chat"]
    said = await actor.chat(
        ChatRequest(
            messages=tuple(chat["messages"]),
            sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=chat["max_tokens"]),
            seed=decode.seed(context.settings, context.iteration, key),
            stop=tuple(chat["stop"]),
        )
    )
    return _answer(context, item, said.choices[0].text, [said])


async def _turns(context: Context[DecodeSettings], item: Item) -> Answer:
    """The answers to the turns of a conversation, each asked with those before, as a JSON list.

    Raises:
        ItemError: a turn cannot be answered; the conversation is a failure then.
    """
    actor, settings = context.engines["actor"], context.settings
    seed = decode.seed(settings, context.iteration, item["key"])
    chat: list[Message] = []
    said: list[ChatAnswer] = []
    texts: list[str] = []
    for number, turn in enumerate(json.loads(item["details"])["turns"]):
        chat.append({"role": "user", "content": turn["prompt"]})
        answer = await actor.chat(
            ChatRequest(
                messages=tuple(chat),
                sampling=replace(settings.answering, temperature=0.0),
                seed=seed_of(seed, number),
            )
        )
        if error := unanswered(answer.choices):
            raise error
        said.append(answer)
        texts.append(answer.choices[0].text.strip())
        chat.append({"role": "assistant", "content": texts[-1]})
    return _answer(context, item, json.dumps(texts, ensure_ascii=False), said)


def _answer(
    context: Context[DecodeSettings], item: Item, response: str, said: Sequence[ChatAnswer]
) -> Answer:
    """The answer of the actor alone, with the tokens of all that it said."""
    return Answer(
        answer_id=answer_id(context.iteration, item["key"], context.variant),
        item_id=item["key"],
        benchmark=item["benchmark"],
        decoder=decode.ONLY_ACTOR,
        votes=0,
        budget=1,
        response=response,
        model=context.engines["actor"].name,
        prompt_tokens=sum(each.prompt_tokens for each in said),
        completion_tokens=sum(each.completion_tokens for each in said),
    )


async def _check(context: Context[StageSettings], item: Item) -> Rows:
    benchmark = BENCHMARKS[item["benchmark"]]
    if benchmark.check is None:
        return {}
    found = await asyncio.to_thread(benchmark.check, _item(item), item["response"])
    return {"scores": _scores(item, found, PROGRAM)}


async def _grade(context: Context[GradeSettings], item: Item) -> Rows:
    benchmark, engine = BENCHMARKS[item["benchmark"]], context.engines["judge"]
    if benchmark.grade is None:
        return {}
    settings = context.settings
    seed = seed_of(settings.seed, context.iteration, "grade", item["key"])
    found = await benchmark.grade(engine, settings.judge, _item(item), item["response"], seed)
    return {"scores": _scores(item, found, engine.name)}


async def _figures(context: Context[StageSettings], item: Item) -> Rows:
    rows = await asyncio.to_thread(evaluations, item["benchmark"], item["items"])
    return {"evaluations": rows}


def evaluations(benchmark: str, items: Sequence[Mapping[str, Any]]) -> list[Evaluation]:
    """The figures of a benchmark, with their intervals.

    Args:
        items: rows of `items`, each with its `findings`, and what `answers` says of its answer.
    """
    from evaluation.intervals import interval  # scipy is of the extra `evaluate`

    scored = [Scored(_item(each), _findings(each)) for each in items]
    answered = [each for each in items if each["decoder"] is not None]
    first: Mapping[str, Any] = answered[0] if answered else {}
    made = [each["responses"] for each in answered if each["completion_tokens"]]
    tokens = [each["completion_tokens"] for each in answered if each["completion_tokens"]]
    scorers = sorted({each["scorer"] for row in items for each in row["findings"] or ()})
    rows = []
    for figure in BENCHMARKS[benchmark].figures(scored):
        found = interval(figure.units)
        rows.append(
            Evaluation(
                benchmark=benchmark,
                metric=figure.metric,
                part=figure.part,
                value=found.value if found else None,
                low=found.low if found else None,
                high=found.high if found else None,
                scored=figure.scored,
                items=figure.items,
                decoder=first.get("decoder") or "",
                votes=max((each["votes"] for each in answered), default=0),
                budget=first.get("budget") or 0,
                model=first.get("model") or ", ".join(scorers),
                scorer=", ".join(scorers),
                responses=sum(made) / len(made) if made else None,
                tokens=sum(tokens) / len(tokens) if tokens else None,
                units=list(figure.units),
            )
        )
    return rows


def _item(row: Mapping[str, Any]) -> BenchmarkItem:
    checks = row["checks"]
    return BenchmarkItem(
        item_id=row["item_id"],
        benchmark=row["benchmark"],
        key=row["name"],
        prompt=row.get("prompt", ""),
        position=row["position"],
        category=row["category"],
        level=row["level"],
        checks=None if checks is None else [Check(each["id"], each["kwargs"]) for each in checks],
        given=row.get("given"),
        label=row["label"],
        details=row["details"],
    )


def _findings(row: Mapping[str, Any]) -> list[Finding]:
    found = [
        Finding(each["metric"], each["value"], each["number"], each["constraint"])
        for each in row["findings"] or ()
    ]
    if row["passed"] is not None:
        found.append(Finding("self", float(row["passed"])))
    return found


def _scores(item: Item, found: Sequence[Finding], scorer: str) -> list[Score]:
    return [
        Score(
            item_id=item["item_id"],
            benchmark=item["benchmark"],
            metric=each.metric,
            value=each.value,
            scorer=scorer,
            number=each.number,
            constraint=each.constraint,
            answer_id=item["answer_id"],
            critique=each.critique,
            prompt_tokens=each.prompt_tokens,
            completion_tokens=each.completion_tokens,
        )
        for each in found
    ]


_ANSWER = "decoder, votes, budget, model, responses, completion_tokens"
_COLUMNS = "item_id, benchmark, i.key as name, position, category, level, checks, label, details"


_TWINS = " union all ".join(
    f"""select i.item_id as twin_id, a.* from items i
        join items c on c.key = i.key and c.benchmark = '{each.scores_answers_to}'
        join answers a on a.item_id = c.item_id and a.benchmark = c.benchmark
        where i.benchmark = '{each.name}'"""
    for each in BENCHMARKS.values()
    if each.scores_answers_to
)
"""SQL of the answers to the items of another benchmark that are scored beside an item's text."""


def _named(*wanted: str | None, by: str = "") -> str:
    """The benchmarks whose items need such answers, and are scored so, as a list in SQL."""
    names = [
        each.name
        for each in BENCHMARKS.values()
        if each.answers in wanted and (not by or getattr(each, by) is not None)
        if not each.scores_answers_to
    ]
    return f"({', '.join(repr(name) for name in names) or 'null'})"


def _scoring_others() -> str:
    """The benchmarks that score answers to another one's items, as a list in SQL."""
    names = [each.name for each in BENCHMARKS.values() if each.scores_answers_to]
    return f"({', '.join(map(repr, names))})"


@functools.cache
def stages(decoder: Strategy) -> dict[str | None, tuple[Stage[Any], ...]]:
    """The stages of an evaluation by what a benchmark's items need (`Benchmark.answers`)."""
    answered = _family(decoder, ("answer", "chat", "turns"), "", decode.roles(decoder))
    return {
        "answer": answered,
        "chat": answered,
        "turns": answered,
        None: answered,
        "refinement": _family(decoder, ("refinement",), REFINED, ("refiner",)),
    }


def _family(
    decoder: Strategy, wanted: tuple[str, ...], suffix: str, roles: tuple[str, ...]
) -> tuple[Stage[Any], ...]:
    answering: Stage[Any] = Stage(
        name=f"decode{suffix}",
        noun="items",
        items=f"""
            select item_id as key, benchmark, prompt, details, checks,
                   {"given" if suffix else "null::varchar as given"}
            from items where benchmark in {_named(*wanted)}
              and item_id in (select item_id from scope)""",
        task=_decode,
        settings=lambda options: decode.settings(options, decoder),
        writes=("answers",),
        options=(*decode.OPTIONS, CHECKS_OF_ITEMS),
        roles=roles,
        intake=_INTAKE,
    )
    answers = f"""
        select answer_id as key, {_COLUMNS}, prompt, given, response, answer_id
        from items i join answers using (item_id, benchmark)
        where item_id in (select item_id from scope) and benchmark in """
    texts = f"""
        union all
        select item_id, {_COLUMNS}, prompt, given, given, null
        from items i where item_id in (select item_id from scope)
          and benchmark in {_named(None, by="grade")}
        union all
        select item_id, {_COLUMNS}, prompt, given, response, answer_id
        from items i join (select twin_id, response, answer_id from ({_TWINS})) on twin_id = item_id
        where item_id in (select item_id from scope)"""
    checking: Stage[Any] = Stage(
        name=f"check{suffix}",
        noun="answers",
        items=answers + _named(*wanted, by="check"),
        task=_check,
        settings=lambda options: StageSettings(seed=options.seed),
        writes=("scores",),
        after=(answering,),
        intake=_INTAKE,
    )
    grading: Stage[Any] = Stage(
        name=f"grade{suffix}",
        noun="answers",
        items=answers + _named(*wanted, by="grade") + ("" if suffix else texts),
        task=_grade,
        settings=lambda options: GradeSettings(
            seed=options.seed,
            judge=replace(voting(options), checks="report"),
            wording={each.name: each.asked for each in BENCHMARKS.values() if each.asked},
        ),
        writes=("scores",),
        options=(VOTING, CONSTRAINED, FEWER_VOTES),
        after=(answering,),
        roles=("judge",),
        intake=_INTAKE,
    )
    others = "" if suffix else f" or benchmark in {_named(None)} or item_id in (from twins)"
    counting: Stage[Any] = Stage(
        name=f"figures{suffix}",
        noun="benchmarks",
        items=f"""
            with found as (
                select item_id, list({{metric: metric, value: value, number: number,
                                      "constraint": "constraint", scorer: scorer}}
                                     order by metric, number, scorer) as findings
                from scores group by item_id),
            answered as (
                select item_id, {_ANSWER}, passed from answers
                union all select twin_id, {_ANSWER}, null from ({_TWINS})),
            twins as (select item_id from items where benchmark in {_scoring_others()}),
            rows as (
                select {_COLUMNS}, findings, {_ANSWER}, passed
                from items i left join found using (item_id) left join answered using (item_id)
                where benchmark in {_named(*wanted)}{others}),
            listed as (
                select benchmark, list(rows order by position, item_id) as items
                from rows group by benchmark having count(findings) + count(decoder) > 0)
            select benchmark || '.' || md5(items::varchar) as key, benchmark, items from listed""",
        task=_figures,
        settings=lambda options: StageSettings(seed=options.seed),
        writes=("evaluations",),
        after=(answering, checking, grading),
        replaces=True,
        intake=_INTAKE,
    )
    return (answering, checking, grading, counting)
