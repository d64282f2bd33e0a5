"""Humpback: an instruction is written for a text, and the two are learnt if they rate well.

Instruction backtranslation (arXiv 2308.06259). Texts come in as seeds. A backward model writes for
each the instruction that it answers; the actor rates the two several times by one rubric of 1 to
5; those with a mean of 4.5 or more are learnt by fine-tuning, there are no pairs. In the paper the
backward model learnt from pairs turned round; unless one is named the actor plays it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.backtranslations import Backtranslation
from schemas.curations import Curation
from schemas.drops import Drop
from schemas.sft_actor import SftActor
from spar_core import backtranslation
from spar_core.dataset import Rows
from spar_core.engine.protocol import ChatRequest, Sampling, seed_of
from spar_core.filters.near_duplicates import twins_sql
from spar_core.ids import backtranslation_id, prompt_id, sft_id
from spar_core.preference import answer_conversation
from spar_core.rating import mean_of_readable
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import CONSTRAINED
from spar_core.stages.rate import RATING, RateSettings, ratings_of, settings_of

METHOD = "humpback"

_INTAKE = "seeds"


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktranslateSettings(StageSettings):
    """write: how an instruction is drawn. wording: what is said to the models, as a hash."""

    write: Sampling
    wording: str = backtranslation.fingerprint()


async def _backtranslate(context: Context[BacktranslateSettings], item: Item) -> Rows:
    settings, engine, key = context.settings, context.engines["backward"], item["key"]
    if item["near"]:
        why = "an earlier text says nearly the same"
        return {"drops": [Drop("backtranslate", key, "text", "near_duplicate", why, item["near"])]}
    answer = await engine.chat(
        ChatRequest(
            messages=tuple(backtranslation.backward_messages(item["text"])),
            sampling=settings.write,
            seed=seed_of(settings.seed, context.iteration, "backtranslate", key),
        )
    )
    choice = answer.choices[0]
    instruction = backtranslation.read_instruction(choice.text)
    if choice.is_cut or not instruction:
        cause = "cut_off" if instruction else "empty"
        return {"drops": [Drop("backtranslate", key, "instruction", cause)]}
    row = Backtranslation(
        backtranslation_id=backtranslation_id(context.iteration, key, context.variant),
        seed_id=key,
        instruction=instruction,
        model=engine.name,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
    return {"backtranslations": [row]}


async def _curate(context: Context[RateSettings], item: Item) -> Rows:
    engine, instruction = context.engines["actor"], item["instruction"]
    messages = backtranslation.curate_messages(instruction, item["text"])
    answer = await ratings_of(
        context, "curate", item["key"], messages, backtranslation.curate_grammar
    )
    critiques = [choice.text for choice in answer.choices]
    scores = [backtranslation.read_grade(text) for text in critiques]
    value = mean_of_readable(scores)
    row = Curation(
        backtranslation_id=item["key"],
        seed_id=item["seed_id"],
        scores=scores,
        critiques=critiques,
        value=value,
        kept=value is not None and value >= backtranslation.LEAST,
        model=engine.name,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
    learnt = SftActor(
        sft_id=sft_id(item["key"], METHOD, context.variant),
        messages=answer_conversation(instruction, item["text"]),
        prompt_id=prompt_id(instruction),
        source="text",
        teacher=engine.name,
        value=value,
        method=METHOD,
    )
    return {"curations": [row]} | ({"sft_actor": [learnt]} if row.kept else {})


_TEXTS = "(select seed_id as key, position, signature, bands from seeds)"

BACKTRANSLATE = Stage(
    name="backtranslate",
    noun="texts",
    items=f"""
        with twins as ({twins_sql(_TEXTS)})
        select seed_id as key, seed as text, twin as near
        from seeds left join twins on twins.key = seed_id
        where split = 'train' and seed_id in (select seed_id from scope)""",
    task=_backtranslate,
    settings=lambda options: BacktranslateSettings(
        seed=options.seed, write=drawing.BACKWARD.read(options)
    ),
    writes=("drops", "backtranslations"),
    options=(Options("backtranslation", drawing.BACKWARD.add),),
    roles=("backward",),
    trains=True,
    intake=_INTAKE,
)

CURATE = Stage(
    name="curate",
    noun="instructions",
    items="""
        select backtranslation_id as key, seed_id, instruction, seed as text
        from backtranslations join seeds using (seed_id)
        where seed_id in (select seed_id from scope)""",
    task=_curate,
    settings=lambda options: settings_of(options, backtranslation.fingerprint()),
    writes=("curations", "sft_actor"),
    options=(RATING, CONSTRAINED),
    after=(BACKTRANSLATE,),
    roles=("actor",),
    trains=True,
    intake=_INTAKE,
)

STAGES = (BACKTRANSLATE, CURATE)
