"""AutoIF: of a prompt's sampled answers one that programs accept over one that they all reject.

Self-play with execution feedback (arXiv 2406.13542), on the prompts that all methods have:

1. SAMPLE: K answers of the actor to a prompt, shared with the other methods.
2. VERIFIERS: for what a prompt asks that a program can check, a model writes eight Python
   functions with test cases. Kept are: functions that run, in the sandbox; of all test cases those
   of which more than half of the functions say what is expected; functions that pass more than
   half of these; and of them those whose back translation into words does not contradict the
   prompt.
3. VERIFY: an answer's pass rate is the share of the kept functions that accept it.
4. RELEVANCE: a model scores the answers with a pass rate of 0.5 or more by how well they answer
   the prompt, several times, 1 to 10; those with a mean over 8 are accepted. A function that
   checks a form accepts any text of that form.
5. AUTOIF: up to two of the accepted answers, drawn at random, are chosen over each of up to two of
   those with a pass rate of 0; every accepted answer is learnt by fine-tuning (`sft_actor`).

The paper's first steps, rewriting seed constraints and joining them to queries, make prompts: here
`pipelines.evolve` makes them, for every method.
"""

from __future__ import annotations

from itertools import product

from schemas.pairs import Pair
from schemas.responses import WHOLE
from schemas.sft_actor import SftActor
from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.ids import sft_id
from spar_core.preference import answer_conversation, pair_of_responses
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.relevance import RELEVANCE
from spar_core.stages.sample import SAMPLE
from spar_core.stages.verifiers import VERIFIERS
from spar_core.stages.verify import VERIFY

METHOD = "autoif"
OF_EACH = 2
"""Answers of a prompt that are chosen, and that are rejected, at most."""


async def _select(context: Context[StageSettings], item: Item) -> Rows:
    accepted: list[Item] = item["accepted"]
    rejected: dict[str, Item] = {}
    for answer in item["rejected"] or ():
        rejected.setdefault(answer["response"].strip(), answer)
    drawn = accepted[:OF_EACH], [*rejected.values()][:OF_EACH]
    pairs = [
        pair
        for (place, chosen), (other, answer) in product(*map(enumerate, drawn))
        for pair in _pair(context, item, f"{place}.{other}", chosen, answer)
    ]
    return {"pairs": pairs, "sft_actor": [_sft(context, item, answer) for answer in accepted]}


def _pair(
    context: Context[StageSettings], item: Item, places: str, chosen: Item, rejected: Item
) -> list[Pair]:
    """The pair of two answers, named by their places in the draw."""
    pair = {
        "key": f"{item['key']}.{places}",
        "prompt": item["prompt"],
        "earlier_turns": item["earlier_turns"],
        "prompt_id": item["prompt_id"],
    }
    for side, answer in (("chosen", chosen), ("rejected", rejected)):
        pair |= {
            side: answer["response"],
            f"{side}_response_id": answer["response_id"],
            f"{side}_value": answer["pass_rate"],
            f"{side}_checked": answer["checked"],
        }
    pair["chosen_reasoning"] = chosen["reasoning"]
    return pair_of_responses(pair, METHOD, context.iteration, context.variant)


def _sft(context: Context[StageSettings], item: Item, answer: Item) -> SftActor:
    return SftActor(
        sft_id=sft_id(answer["response_id"], METHOD, context.variant),
        messages=answer_conversation(prompt_of(item), answer["response"]),
        prompt_id=item["prompt_id"],
        source="response",
        teacher=item["model"],
        response_id=answer["response_id"],
        value=answer["pass_rate"],
        checked=answer["checked"],
        method=METHOD,
        reasoning=answer["reasoning"],
    )


AUTOIF = Stage(
    name=METHOD,
    noun="prompts with accepted answers",
    items=f"""
        with rated as (
            select v.prompt_id, v.model, v.pass_rate, s.is_relevant,
                   md5(v.response_id || ':' || $seed) as draw,
                   {{'response_id': v.response_id, 'response': r.response,
                    'reasoning': r.reasoning, 'pass_rate': v.pass_rate,
                    'checked': v.checked}} as answer
            from verifications v join responses r using (response_id)
            left join relevances s using (response_id)
            where {WHOLE})
        select prompt_id as key, prompt_id, p.prompt, p.earlier_turns,
               any_value(model) as model,
               list(answer order by draw) filter (is_relevant) as accepted,
               list(answer order by draw) filter (pass_rate = 0) as rejected
        from rated join prompts p using (prompt_id)
        where prompt_id in (select prompt_id from scope)
        group by prompt_id, p.prompt, p.earlier_turns
        having bool_or(is_relevant)""",
    task=_select,
    settings=lambda options: StageSettings(seed=options.seed),
    writes=("sft_actor", "pairs"),
    after=(VERIFY, RELEVANCE),
    trains=True,
)

STAGES = (SAMPLE, VERIFIERS, VERIFY, RELEVANCE, AUTOIF)
