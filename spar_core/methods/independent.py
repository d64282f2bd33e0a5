"""Independent pairs: of a prompt's sampled answers one judged Yes over one judged No, at random.

The paper's ablation "no refinement" (arXiv 2412.11605, section 4.3): no search; the two sides
differ in more than what the instruction asked for.
"""

from __future__ import annotations

from spar_core.dataset import Rows
from spar_core.preference import pair_of_responses
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.judge import JUDGE, ONE_OF_EACH_OUTCOME
from spar_core.stages.sample import SAMPLE

METHOD = "independent"


async def _pair(context: Context[StageSettings], item: Item) -> Rows:
    pairs = pair_of_responses(item, METHOD, context.iteration, context.variant)
    return {"pairs": pairs} if pairs else {}


INDEPENDENT = Stage(
    name=METHOD,
    noun="prompts answered well and badly",
    items=f"""
        with drawn as (
            {ONE_OF_EACH_OUTCOME})
        select prompt_id as key, prompt_id, p.prompt, p.earlier_turns,
               c.response as chosen, c.reasoning as chosen_reasoning,
               r.response as rejected, y.response_id as chosen_response_id,
               n.response_id as rejected_response_id,
               y.value as chosen_value, n.value as rejected_value,
               y.yes_votes as chosen_yes_votes, y.no_votes as chosen_no_votes,
               n.yes_votes as rejected_yes_votes, n.no_votes as rejected_no_votes,
               y.checked as chosen_checked, n.checked as rejected_checked
        from drawn y join drawn n using (prompt_id)
        join responses c on c.response_id = y.response_id
        join responses r on r.response_id = n.response_id
        join prompts p using (prompt_id)
        where y.outcome = 'yes' and n.outcome = 'no'
          and prompt_id in (select prompt_id from scope)""",
    task=_pair,
    settings=lambda options: StageSettings(seed=options.seed),
    writes=("pairs",),
    after=(JUDGE,),
    trains=True,
)

STAGES = (SAMPLE, JUDGE, INDEPENDENT)
