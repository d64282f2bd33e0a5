"""Tree search: one failing response of each prompt, refined until a refinement passes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import job
from pipelines.execution.options import Settings
from pipelines.execution.stage import Item, Stage
from pipelines.judge import refiner
from spar_core.checks import check
from spar_core.dataset import Rows
from spar_core.decoding import Team, decode
from spar_core.engine.protocol import Engine, seed_of
from spar_core.records import judged_of_row, node_rows, tree_id, tree_row


async def _search(engine: Engine, item: Item, settings: Settings, iteration: int) -> Rows:
    root_checked = await check(item["checks"], item["response"])
    grown = await decode(
        Team(refiner=engine, judge=engine),
        item["prompt"],
        settings.search,
        seed_of(settings.seed, iteration, "tree_search", item["key"]),
        root=(item["response"], judged_of_row(item)),
    )
    root, prompt_id = item["response_id"], item["key"]
    tree = tree_id(root)
    row = tree_row(tree, prompt_id, root, grown, settings.search.strategy, engine.name)
    refined = grown.nodes[1:]
    checked = [root_checked, *[await check(item["checks"], node.response) for node in refined]]
    return {"trees": [row], "nodes": node_rows(tree, prompt_id, grown, checked)}


STAGE = Stage(
    name="tree_search",
    noun="trees",
    # The root is one failing response at random. Items go by prompt, so that a prompt whose
    # responses are judged later still gets no second tree.
    items="""
        with failing as (
            select response_id, prompt_id, verdict, value, critique, votes, iteration
            from judgements where iteration = $iteration and verdict = 'no'
            qualify row_number() over (
                partition by prompt_id order by md5(response_id || ':' || $seed)) = 1)
        select prompt_id as key, response_id, prompt, checks, response, verdict, value, critique,
               votes
        from failing join responses using (iteration, response_id, prompt_id)
        join prompts using (iteration, prompt_id)
        where prompt_id in (select prompt_id from scope)""",
    task=_search,
    engine=refiner,
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main("tree_search", __doc__ or "", [STAGE], argv)


if __name__ == "__main__":
    from pipelines.tree_search import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
