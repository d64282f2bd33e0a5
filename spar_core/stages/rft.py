"""RFT: fine-tuning samples for the refiner, chosen over the whole iteration (rft.sql)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from schemas.responses import WHOLE
from spar_core.dataset import Rows
from spar_core.ids import rft_id
from spar_core.preference import RFT_CAPS, Chosen, rft_sample
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.tree_search import TREE_SEARCH

SELECTION = (Path(__file__).parent / "rft.sql").read_text().format(**RFT_CAPS, whole=WHOLE)


async def _rft(context: Context[StageSettings], item: Item) -> Rows:
    chosen = Chosen(**item)
    named = replace(chosen, key=rft_id(chosen.key, context.variant))
    return {"rft": [rft_sample(named)]}


RFT = Stage(
    name="rft",
    noun="refiner samples",
    items=SELECTION,
    task=_rft,
    settings=lambda options: StageSettings(seed=options.seed),
    writes=("rft",),
    after=(TREE_SEARCH,),
    replaces=True,
    trains=True,
)
