"""Judge: votes of the refiner on each sampled response, and the verdict of their majority."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines import job
from pipelines.options import Settings
from pipelines.stage import Item, Stage
from spar_core.dataset import Rows
from spar_core.engine.host import EngineSpec
from spar_core.engine.protocol import Engine, seed_of
from spar_core.records import judgement_row
from spar_core.voting import judge


async def _judge(engine: Engine, item: Item, settings: Settings, iteration: int) -> Rows:
    seed = seed_of(settings.seed, iteration, "judge", item["key"])
    judged = await judge(engine, item["prompt"], item["response"], settings.judge, seed)
    row = judgement_row(item["key"], item["prompt_id"], judged, engine.name)
    return {"judgements": [row]}


def refiner(settings: Settings) -> EngineSpec:
    return settings.refiner


STAGE = Stage(
    name="judge",
    noun="responses",
    items="""
        select response_id as key, prompt_id, prompt, response
        from responses join prompts using (iteration, prompt_id)
        where iteration = $iteration and position < coalesce($limit, 9223372036854775807)""",
    task=_judge,
    engine=refiner,
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main("judge", __doc__ or "", [STAGE], argv)


if __name__ == "__main__":
    from pipelines.judge import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
