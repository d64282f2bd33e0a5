"""Meta-judge: the actor compares its ratings of one response, each with each, in both orders."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from schemas.battles import Battle
from spar_core import meta_judging
from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.decoding.tasks import all_of
from spar_core.engine.protocol import ChatRequest, Sampling, seed_of
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import CONSTRAINED, is_constrained
from spar_core.stages.rate import RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaJudgeSettings(StageSettings):
    """meta: how a comparison is drawn. rubric: what is said, as a hash."""

    meta: Sampling
    constrained: bool = False
    rubric: str = meta_judging.fingerprint()


async def _meta_judge(context: Context[MetaJudgeSettings], item: Item) -> Rows:
    """A rating against all others, itself shown first."""
    return {"battles": await all_of(_compare(context, item, each) for each in item["others"])}


async def _compare(context: Context[MetaJudgeSettings], item: Item, other: Item) -> Battle:
    settings, engine = context.settings, context.engines["actor"]
    said = (prompt_of(item), item["response"], item["critique"], other["critique"])
    names = (item["key"], other["rating_id"])
    limit = settings.meta.max_tokens
    answer = await engine.chat(
        ChatRequest(
            messages=tuple(meta_judging.compare_messages(*said)),
            sampling=settings.meta,
            seed=seed_of(settings.seed, context.iteration, "meta_judge", *names),
            grammar=meta_judging.compare_grammar(limit) if settings.constrained else None,
        )
    )
    [choice] = answer.choices
    return Battle(
        response_id=item["response_id"],
        prompt_id=item["prompt_id"],
        first_rating_id=names[0],
        second_rating_id=names[1],
        winner=meta_judging.read_better(choice.text),
        text=choice.text,
        model=engine.name,
        finish_reason=choice.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=choice.tokens,
    )


def _add(group: Any) -> None:
    drawing.META.add(group)


META_JUDGING = Options("comparing ratings", _add)


def _settings(options: Namespace) -> MetaJudgeSettings:
    return MetaJudgeSettings(
        seed=options.seed,
        meta=drawing.META.read(options),
        constrained=is_constrained(options, "actor"),
    )


META_JUDGE = Stage(
    name="meta_judge",
    noun="ratings",
    # Of a prompt's responses the one whose ratings differ most; equal texts are compared once.
    items="""
        with said as (
            select rating_id, response_id, prompt_id, number, score, critique
            from ratings where score is not null
            qualify row_number() over (partition by response_id, critique order by number) = 1),
        varied as (
            select response_id from (
                select prompt_id, response_id, round(var_pop(score), 6) as variance
                from said group by all having variance > 0)
            qualify row_number() over (
                partition by prompt_id
                order by variance desc, md5(response_id || ':' || $seed)) = 1)
        select one.rating_id as key, one.prompt_id, one.response_id, any_value(prompt) as prompt,
               any_value(earlier_turns) as earlier_turns,
               any_value(response) as response, any_value(one.critique) as critique,
               list({'rating_id': other.rating_id, 'critique': other.critique}
                   order by other.number) as others
        from varied
        join said one using (response_id)
        join said other on other.response_id = one.response_id and other.number <> one.number
        join responses r on r.response_id = one.response_id
        join prompts p on p.prompt_id = one.prompt_id
        where one.prompt_id in (select prompt_id from scope)
        group by one.rating_id, one.prompt_id, one.response_id""",
    task=_meta_judge,
    settings=_settings,
    writes=("battles",),
    options=(META_JUDGING, CONSTRAINED),
    after=(RATE,),
    roles=("actor",),
)
