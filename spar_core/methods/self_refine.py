"""SELF: an answer that fails is refined once by its own feedback, and kept if it then passes.

SELF-Refine on the model's own word (arXiv 2310.00533): answer, feedback, refinement, filtered by
feedback again; what passes is learnt by fine-tuning, there are no pairs. Feedback is the judge's
vote with its critique, so the filter is the same as of every other method. In the paper one model
plays all parts: give actor, refiner and judge the same one. Of a prompt one answer that passed as
it was and one that was mended are learnt, at most.
"""

from __future__ import annotations

from argparse import Namespace

from schemas.drops import Drop
from schemas.sft_actor import SftActor
from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.decoding import SearchSettings, Team, decode
from spar_core.engine.protocol import seed_of
from spar_core.ids import sft_id
from spar_core.preference import answer_conversation
from spar_core.records import judged_of_row
from spar_core.stage import Context, Item, Stage
from spar_core.stages import drawing
from spar_core.stages.judge import (
    CHECKS,
    CONSTRAINED,
    FEWER_VOTES,
    JUDGE,
    ONE_OF_EACH_OUTCOME,
    VOTING,
    is_constrained,
    task_of,
    voting,
)
from spar_core.stages.sample import SAMPLE
from spar_core.stages.tree_search import REFINING, TreeSearchSettings
from spar_core.tree import SearchTree

METHOD = "self"


async def _learn(context: Context[TreeSearchSettings], item: Item) -> Rows:
    if item["outcome"] == "yes":
        judge = context.engines["judge"].name
        said = item["response"], item["value"], item["reasoning"]
        return _kept(context, item, "response", judge, *said)
    grown = await _refined(context, item)
    if cause := _flaw(grown):
        taken = Drop(METHOD, item["response_id"], "refinement", cause, prompt_id=item["prompt_id"])
        return {"drops": [taken]}
    refiner, mended = context.engines["refiner"].name, grown.chosen
    told = item | {"checked": mended.judged.checked}
    return _kept(context, told, "repair", refiner, mended.response, mended.judged.value)


async def _refined(context: Context[TreeSearchSettings], item: Item) -> SearchTree:
    """The failing answer and its one refinement, where that could be read."""
    settings = context.settings
    return await decode(
        Team(refiner=context.engines["refiner"], judge=context.engines["judge"]),
        task_of(item),
        settings.search,
        seed_of(settings.seed, context.iteration, METHOD, item["response_id"]),
        root=(item["response"], judged_of_row(item)),
    )


def _flaw(grown: SearchTree) -> str:
    """Why a refinement is not learnt, in a word; "" where it is."""
    if not grown.refinements:
        return "off_format"
    if grown.solution is None:
        return "does_not_pass"
    before, after = grown.nodes[0].response, grown.chosen.response
    return "unchanged" if after.strip() == before.strip() else ""


def _kept(
    context: Context[TreeSearchSettings],
    item: Item,
    source: str,
    model: str,
    answer: str,
    value: float | None,
    reasoning: str | None = None,
) -> Rows:
    row = SftActor(
        sft_id=sft_id(item["response_id"], METHOD, context.variant),
        messages=answer_conversation(prompt_of(item), answer),
        prompt_id=item["prompt_id"],
        source=source,
        teacher=model,
        response_id=item["response_id"],
        value=value,
        checked=item["checked"],
        method=METHOD,
        reasoning=reasoning,
    )
    return {"sft_actor": [row]}


def _settings(options: Namespace) -> TreeSearchSettings:
    search = SearchSettings(
        judge=voting(options),
        sampling=drawing.REFINE.read(options),
        strategy="iterative",
        budget=1,
        constrained=is_constrained(options, "refiner"),
    )
    return TreeSearchSettings(seed=options.seed, search=search)


SELF = Stage(
    name=METHOD,
    noun="answers judged well or badly",
    items=f"""
        with drawn as (
            {ONE_OF_EACH_OUTCOME})
        select prompt_id || '.' || outcome as key, response_id, prompt_id, prompt,
               earlier_turns, checks, checks_complete, response, reasoning, verdict, value,
               critique, votes, outcome, checked, checks_met, asked_again
        from drawn join responses using (response_id, prompt_id) join prompts using (prompt_id)
        where prompt_id in (select prompt_id from scope)""",
    task=_learn,
    settings=_settings,
    writes=("drops", "sft_actor"),
    options=(VOTING, CHECKS, REFINING, CONSTRAINED, FEWER_VOTES),
    after=(JUDGE,),
    roles=("refiner", "judge"),
    trains=True,
)

STAGES = (SAMPLE, JUDGE, SELF)
