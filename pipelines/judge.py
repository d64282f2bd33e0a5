"""Judge: votes of the refiner on each sampled response, and the verdict of their majority."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from pipelines.execution import job
from pipelines.execution.options import Settings
from pipelines.execution.stage import Item, Stage
from spar_core.checks import check
from spar_core.dataset import Rows
from spar_core.engine.host import EngineSpec
from spar_core.engine.protocol import Engine, seed_of
from spar_core.records import judgement_row
from spar_core.voting import judge


async def _judge(engine: Engine, item: Item, settings: Settings, iteration: int) -> Rows:
    seed = seed_of(settings.seed, iteration, "judge", item["key"])
    checked = await check(item["checks"], item["response"])
    judged = await judge(engine, item["prompt"], item["response"], settings.judge, seed)
    rows = [
        judgement_row(response_id, item["prompt_id"], judged, engine.name, checked)
        for response_id in item["response_ids"]
    ]
    free = [replace(row, prompt_tokens=0, completion_tokens=0) for row in rows[1:]]
    return {"judgements": [rows[0], *free]}


def refiner(settings: Settings) -> EngineSpec:
    return settings.refiner


STAGE = Stage(
    name="judge",
    noun="responses",
    items="""
        select min(response_id) as key, list(response_id order by response_id) as response_ids,
               prompt_id, any_value(prompt) as prompt, any_value(checks) as checks,
               any_value(response) as response
        from responses join prompts using (iteration, prompt_id)
        where iteration = $iteration and prompt_id in (select prompt_id from scope)
        group by prompt_id, case when $judge_once then md5(response) else response_id end""",
    task=_judge,
    engine=refiner,
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main("judge", __doc__ or "", [STAGE], argv)


if __name__ == "__main__":
    from pipelines.judge import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
