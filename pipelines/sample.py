"""Sample: K responses of the actor for each prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import job
from pipelines.execution.options import Settings
from pipelines.execution.stage import Item, Stage
from spar_core.dataset import Rows
from spar_core.engine.host import EngineSpec
from spar_core.engine.protocol import Engine, seed_of
from spar_core.sampling import sample


async def _sample(engine: Engine, item: Item, settings: Settings, iteration: int) -> Rows:
    responses = await sample(
        engine,
        item["key"],
        item["prompt"],
        iteration=iteration,
        responses=settings.responses,
        sampling=settings.sampling,
        seed=seed_of(settings.seed, iteration, "sample", item["key"]),
    )
    return {"responses": responses}


def _actor(settings: Settings) -> EngineSpec:
    return settings.actor


STAGE = Stage(
    name="sample",
    noun="prompts",
    items="""
        select prompt_id as key, prompt from prompts
        where iteration = $iteration and prompt_id in (select prompt_id from scope)""",
    task=_sample,
    engine=_actor,
)


def main(argv: Sequence[str] | None = None) -> int:
    return job.main("sample", __doc__ or "", [STAGE], argv)


if __name__ == "__main__":
    from pipelines.sample import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
