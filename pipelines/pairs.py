"""Pairs: preference pairs from the solved trees, and fine-tuning samples for the refiner."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import job
from pipelines.execution.options import Settings
from pipelines.execution.stage import Item, Stage
from spar_core.dataset import Rows
from spar_core.engine.protocol import Engine
from spar_core.preference import RFT_CAPS, pair, rft_sample


async def _pair(_: Engine, item: Item, settings: Settings, iteration: int) -> Rows:
    columns = {name: value for name, value in item.items() if name != "key"}
    made = pair(pair_id=f"{item['key']}.pair", tree_id=item["key"], **columns)
    return {"pairs": [made] if made else []}


async def _rft(_: Engine, item: Item, settings: Settings, iteration: int) -> Rows:
    return {"rft": [rft_sample(item)]}


PAIRS = Stage(
    name="pairs",
    noun="solved trees",
    items="""
        select t.tree_id as key, p.prompt, c.response as chosen, r.response as rejected,
               t.prompt_id, t.chosen_node_id, t.root_response_id as rejected_response_id,
               c.depth, c.value as chosen_value, r.value as rejected_value,
               c.yes_votes as chosen_yes_votes, c.no_votes as chosen_no_votes,
               r.yes_votes as rejected_yes_votes, r.no_votes as rejected_no_votes,
               t.refinements, t.completion_tokens as tree_tokens,
               c.checked as chosen_checked, r.checked as rejected_checked
        from trees t
        join prompts p using (iteration, prompt_id)
        join nodes c on c.iteration = t.iteration and c.node_id = t.chosen_node_id
        join nodes r on r.iteration = t.iteration and r.tree_id = t.tree_id and r.depth = 0
        where t.iteration = $iteration and t.solved
          and p.prompt_id in (select prompt_id from scope)""",
    task=_pair,
)

_KINDS = ", ".join(f"({i}, '{kind}', {cap})" for i, (kind, cap) in enumerate(RFT_CAPS.items()))

RFT = Stage(
    name="rft",
    noun="refiner samples",
    # Of each tree one judgement of either side; of all samples one for a judge prompt (a prompt
    # and a response), the kinds in the order of RFT_CAPS; then at most the cap of each kind.
    items=f"""
        with kinds (rank, kind, cap) as (values {_KINDS}),
        made as (
            select 'tree_refinement' as kind, c.node_id || '.refine' as key, c.prompt_id,
                   c.tree_id, c.node_id, null as response_id, m.response, m.critique,
                   c.reflection, c.response as refined, c.verdict, c.value
            from trees t
            join nodes c on c.iteration = t.iteration and c.node_id = t.chosen_node_id
            join nodes m on m.iteration = t.iteration and m.node_id = c.parent_id
            where t.iteration = $iteration and t.solved),
        seen as (
            select 'tree_judgement_' || verdict as kind, node_id || '.judge' as key, prompt_id,
                   tree_id, node_id, null as response_id, response, critique,
                   null as reflection, null as refined, verdict, value
            from nodes
            where iteration = $iteration and depth > 0 and value > 0 and value < 1
              and verdict in ('yes', 'no')
            qualify row_number() over (
                partition by tree_id, verdict order by md5(node_id || ':' || $seed)) = 1),
        split as (
            select 'response_judgement_' || verdict as kind, response_id || '.judge' as key,
                   prompt_id, null as tree_id, null as node_id, response_id, response, critique,
                   null as reflection, null as refined, verdict, value
            from judgements join responses using (iteration, response_id, prompt_id)
            where iteration = $iteration and value > 0 and value < 1 and verdict in ('yes', 'no')),
        single as (
            select * from (from made union all from seen union all from split)
            join kinds using (kind)
            qualify row_number() over (
                partition by prompt_id, md5(response)
                order by rank, md5(key || ':' || $seed)) = 1)
        select key, regexp_replace(kind, '_(yes|no)$', '') as source, prompt_id, p.prompt,
               tree_id, node_id, response_id, s.response, critique, reflection, refined,
               verdict, value
        from single s join prompts p using (prompt_id)
        where p.iteration = $iteration
          and p.prompt_id in (select prompt_id from scope)
        qualify row_number() over (partition by kind order by md5(key || ':' || $seed)) <= cap""",
    task=_rft,
    replaces=True,
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main("pairs", __doc__ or "", [PAIRS, RFT], argv)


if __name__ == "__main__":
    from pipelines.pairs import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
