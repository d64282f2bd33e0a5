"""Self-Rewarding: the answer that the actor itself rates highest over the one it rates lowest.

The actor rates its answers by a rubric of 0 to 5 points, several times each; the means decide, and
where they are all equal there is no pair (arXiv 2401.10020). As in the paper, four answers and
three ratings of each:

    python -m pipelines.refine --method self_rewarding --run RUN --responses 4 \
        --actor_temperature 0.7 --actor_top_p 0.9 --ratings 3
"""

from __future__ import annotations

from spar_core.dataset import Rows
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.rate import MEANS, RATE, pair_of_rated
from spar_core.stages.sample import SAMPLE

METHOD = "self_rewarding"


async def _pair(context: Context[StageSettings], item: Item) -> Rows:
    return await pair_of_rated(context, item, METHOD)


SELF_REWARDING = Stage(
    name=METHOD,
    noun="prompts with answers rated unlike",
    # Among equal means the seed draws.
    items=f"""
        with rated as ({MEANS}),
        ranked as (
            select *,
                   row_number() over (partition by prompt_id
                       order by value desc, md5(response_id || ':' || $seed)) as from_best,
                   row_number() over (partition by prompt_id
                       order by value, md5(response_id || ':' || $seed)) as from_worst
            from rated)
        select prompt_id as key, prompt_id, p.prompt, p.earlier_turns, p.checks,
               c.response as chosen, c.reasoning as chosen_reasoning,
               r.response as rejected,
               best.response_id as chosen_response_id,
               worst.response_id as rejected_response_id,
               best.value as chosen_value, worst.value as rejected_value
        from ranked best join ranked worst using (prompt_id)
        join responses c on c.response_id = best.response_id
        join responses r on r.response_id = worst.response_id
        join prompts p using (prompt_id)
        where best.from_best = 1 and worst.from_worst = 1 and best.value > worst.value
          and prompt_id in (select prompt_id from scope)""",
    task=_pair,
    settings=lambda options: StageSettings(seed=options.seed),
    writes=("pairs",),
    after=(RATE,),
    trains=True,
)

STAGES = (SAMPLE, RATE, SELF_REWARDING)
