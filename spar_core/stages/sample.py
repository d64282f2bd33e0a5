"""Sample: K responses of the actor for each prompt."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.engine.protocol import Sampling, seed_of
from spar_core.sampling import sample
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing

_TITLE = "sampling (defaults: the paper's, arXiv 2412.11605)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings(StageSettings):
    """actor: how a response is drawn. responses: so many a prompt."""

    actor: Sampling
    responses: int = 5


async def _sample(context: Context[SampleSettings], item: Item) -> Rows:
    settings, key = context.settings, item["key"]
    responses = await sample(
        context.engines["actor"],
        key,
        prompt_of(item),
        iteration=context.iteration,
        variant=context.variant,
        responses=settings.responses,
        sampling=settings.actor,
        seed=seed_of(settings.seed, context.iteration, "sample", key),
    )
    return {"responses": responses}


def _add(group: Any) -> None:
    group.add_argument(
        "--responses",
        type=drawing.whole(1),
        default=5,
        metavar="N",
        help="responses sampled for a prompt (default: 5)",
    )


def _settings(options: Namespace) -> SampleSettings:
    return SampleSettings(
        seed=options.seed, actor=drawing.ACTOR.read(options), responses=options.responses
    )


ANSWERING = Options(_TITLE, drawing.ACTOR.add)

SAMPLE = Stage(
    name="sample",
    noun="prompts",
    items="""
        select prompt_id as key, prompt_id, prompt, earlier_turns from prompts
        where prompt_id in (select prompt_id from scope)""",
    task=_sample,
    settings=_settings,
    writes=("responses",),
    options=(Options(_TITLE, _add), ANSWERING),
    roles=("actor",),
)
