"""Pairs: preference pairs from the solved trees."""

from __future__ import annotations

from schemas.pairs import Pair
from schemas.table import SPAR
from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.ids import pair_id
from spar_core.preference import sides
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.tree_search import TREE_SEARCH

_USED = ("key", "prompt", "earlier_turns", "chosen", "rejected")


async def _pair(context: Context[StageSettings], item: Item) -> Rows:
    texts = sides(prompt_of(item), item["chosen"], item["rejected"])
    if texts is None:
        return {}
    name = pair_id(item["key"], context.variant)
    columns = {column: value for column, value in item.items() if column not in _USED}
    return {"pairs": [Pair(pair_id=name, tree_id=item["key"], method=SPAR, **texts, **columns)]}


PAIRS = Stage(
    name="pairs",
    noun="solved trees",
    # Of all nodes first those that count: a join that has two texts to hold runs out of memory
    # where there are many trees.
    items="""
        with root as materialized (
            from nodes where depth = 0 and tree_id in (
                select tree_id from trees
                where solved and prompt_id in (select prompt_id from scope))),
        chosen as materialized (
            from nodes where node_id in (select chosen_node_id from trees where solved))
        select t.tree_id as key, p.prompt, p.earlier_turns, c.response as chosen,
               r.response as rejected, t.prompt_id, t.chosen_node_id,
               t.root_response_id as rejected_response_id,
               c.depth, c.value as chosen_value, r.value as rejected_value,
               c.yes_votes as chosen_yes_votes, c.no_votes as chosen_no_votes,
               r.yes_votes as rejected_yes_votes, r.no_votes as rejected_no_votes,
               t.refinements, t.completion_tokens as tree_tokens,
               c.checked as chosen_checked, r.checked as rejected_checked
        from root r
        join trees t using (tree_id)
        join chosen c on c.node_id = t.chosen_node_id
        join prompts p on p.prompt_id = t.prompt_id""",
    task=_pair,
    settings=lambda options: StageSettings(seed=options.seed),
    writes=("pairs",),
    after=(TREE_SEARCH,),
    trains=True,
)
