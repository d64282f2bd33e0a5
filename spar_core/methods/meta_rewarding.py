"""Meta-Rewarding: Self-Rewarding with its length held, and pairs that teach the rating itself.

Of the answers rated nearly as high as the best the shortest is chosen, of those rated nearly as low
as the worst the longest rejected. The actor compares its own ratings of one answer of each prompt,
and the one with the highest Elo is preferred over the one with the lowest: `judge_pairs`, to be
trained on together with `pairs` (arXiv 2407.19594). Whoever compares favours long ratings, so a
pair whose preferred rating is overlong is left out. As in the paper, seven answers and eleven
ratings of each:

    python -m pipelines.refine --method meta_rewarding --run RUN --responses 7 \
        --actor_temperature 0.7 --actor_top_p 0.9 --ratings 11
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from schemas.judge_pairs import JudgePair
from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.ids import pair_id
from spar_core.meta_judging import Fought, elo, library, weights
from spar_core.preference import sides
from spar_core.rating import rate_messages
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages.drawing import between
from spar_core.stages.meta_judge import META_JUDGE
from spar_core.stages.rate import MEANS, RATE, pair_of_rated
from spar_core.stages.sample import SAMPLE

METHOD = "meta_rewarding"

LONGEST = 2000
"""Characters of a preferred rating at most. That there is a bound is the paper's; the number is
ours: the rubric asks for a few sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthSettings(StageSettings):
    """rho: share of the way from the best mean to the worst that still counts as high, and back."""

    rho: float = 0.1


async def _pair(context: Context[LengthSettings], item: Item) -> Rows:
    return await pair_of_rated(context, item, METHOD)


async def _judge_pair(context: Context[StageSettings], item: Item) -> Rows:
    """The rating with the highest Elo over the one with the lowest.

    None where all are equal, and none where the one with the highest is overlong.
    """
    ratings = {each["rating_id"]: each for each in item["ratings"]}
    battles = [Fought(each["first"], each["second"], each["winner"]) for each in item["battles"]]
    ranked = elo(list(ratings), battles, weights(item["first_wins"], item["second_wins"]))
    best, worst = max(ranked, key=ranked.__getitem__), min(ranked, key=ranked.__getitem__)
    chosen, rejected = ratings[best], ratings[worst]
    [asked] = rate_messages(prompt_of(item), item["response"])
    texts = sides(asked["content"], chosen["critique"], rejected["critique"])
    if texts is None or ranked[best] == ranked[worst] or len(chosen["critique"]) > LONGEST:
        return {}
    pair = JudgePair(
        pair_id=pair_id(f"{item['response_id']}.{METHOD}", context.variant),
        **texts,
        prompt_id=item["prompt_id"],
        response_id=item["response_id"],
        method=METHOD,
        chosen_rating_id=best,
        rejected_rating_id=worst,
        chosen_elo=ranked[best],
        rejected_elo=ranked[worst],
        chosen_score=chosen["score"],
        rejected_score=rejected["score"],
    )
    return {"judge_pairs": [pair]}


def _add_rho(group: Any) -> None:
    group.add_argument(
        "--rho",
        type=between(0, 0.5),
        default=0.1,
        metavar="R",
        help="means within so much of the range from the best count as high, from the worst as "
        "low; the shortest of the high is chosen, the longest of the low rejected (default: 0.1)",
    )


def _check_library(_: Namespace) -> None:
    library()


META_REWARDING = Stage(
    name=METHOD,
    noun="prompts with answers rated unlike",
    items=f"""
        with rated as ({MEANS}),
        tiers as (
            select *, length(response) as chars,
                   value >= (1 - $rho) * max(value) over whole + $rho * min(value) over whole
                       as is_high,
                   value <= (1 - $rho) * min(value) over whole + $rho * max(value) over whole
                       as is_low
            from rated join responses using (prompt_id, response_id)
            window whole as (partition by prompt_id)),
        high as (
            from tiers where is_high qualify row_number() over (partition by prompt_id
                order by chars, value desc, md5(response_id || ':' || $seed)) = 1),
        low as (
            from tiers where is_low qualify row_number() over (partition by prompt_id
                order by chars desc, value, md5(response_id || ':' || $seed)) = 1)
        select prompt_id as key, prompt_id, p.prompt, p.earlier_turns, p.checks,
               high.response as chosen, high.reasoning as chosen_reasoning,
               low.response as rejected,
               high.response_id as chosen_response_id, low.response_id as rejected_response_id,
               high.value as chosen_value, low.value as rejected_value
        from high join low using (prompt_id) join prompts p using (prompt_id)
        where high.value > low.value and prompt_id in (select prompt_id from scope)""",
    task=_pair,
    settings=lambda options: LengthSettings(seed=options.seed, rho=options.rho),
    writes=("pairs",),
    options=(Options("length", _add_rho),),
    after=(RATE,),
    trains=True,
)

JUDGE_PAIRS = Stage(
    name="judge_pairs",
    noun="answers whose ratings were compared",
    # How often either place won, in all battles, is part of the key: where more battles are
    # fought, what came of other weights is taken back.
    items="""
        with fought as (
            from battles
            where winner is not null and prompt_id in (select prompt_id from scope)),
        places as (
            select count(*) filter (winner = 'first') as first_wins,
                   count(*) filter (winner = 'second') as second_wins
            from fought),
        compared as (
            select prompt_id, response_id,
                   list({'first': first_rating_id, 'second': second_rating_id, 'winner': winner}
                       order by first_rating_id, second_rating_id) as battles
            from fought group by all),
        said as (
            select response_id, list({'rating_id': rating_id, 'score': score, 'critique': critique}
                       order by number) as ratings
            from ratings where rating_id in (
                select unnest([first_rating_id, second_rating_id]) from fought)
            group by all)
        select response_id || ':' || first_wins || ':' || second_wins as key, prompt_id,
               response_id, prompt, earlier_turns, response, ratings, battles, first_wins,
               second_wins
        from compared join said using (response_id) join responses using (prompt_id, response_id)
        join prompts using (prompt_id) cross join places""",
    task=_judge_pair,
    settings=lambda options: StageSettings(seed=options.seed),
    writes=("judge_pairs",),
    options=(Options("judge pairs", lambda _: None, _check_library),),
    after=(META_JUDGE,),
    replaces=True,
    trains=True,
)

STAGES = (SAMPLE, RATE, META_REWARDING, META_JUDGE, JUDGE_PAIRS)
