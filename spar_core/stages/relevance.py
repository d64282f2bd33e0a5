"""Relevance: whether the answers that a prompt's functions accept answer the prompt at all."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from schemas.relevances import Relevance
from schemas.responses import WHOLE
from spar_core.chat import prompt_of
from spar_core.dataset import Rows
from spar_core.engine.protocol import ChatRequest, Sampling, seed_of
from spar_core.rating import mean_of_readable
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import CONSTRAINED, is_constrained
from spar_core.stages.verify import ACCEPTED, VERIFY
from spar_core.verification import relevance
from terminal.exits import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RelevanceSettings(StageSettings):
    """score: how a score is drawn. scores: so many a response. wording: what is said, as a hash."""

    score: Sampling
    scores: int = 3
    constrained: bool = False
    wording: str = relevance.fingerprint()


async def _score(context: Context[RelevanceSettings], item: Item) -> Rows:
    settings, engine, key = context.settings, context.engines["verifier"], item["key"]
    limit = settings.score.max_tokens
    answer = await engine.chat(
        ChatRequest(
            messages=tuple(relevance.relate_messages(prompt_of(item), item["response"])),
            sampling=settings.score,
            n=settings.scores,
            seed=seed_of(settings.seed, context.iteration, "relevance", key),
            grammar=relevance.relate_grammar(limit) if settings.constrained else None,
        )
    )
    texts = [choice.text for choice in answer.choices]
    scores = [relevance.read_relevance(text) for text in texts]
    value = mean_of_readable(scores)
    row = Relevance(
        response_id=key,
        prompt_id=item["prompt_id"],
        scores=scores,
        texts=texts,
        value=value,
        is_relevant=value is not None and value > relevance.OVER,
        model=engine.name,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
    return {"relevances": [row]}


def _add(group: Any) -> None:
    group.add_argument(
        "--relevance_scores",
        type=drawing.whole(1),
        default=3,
        metavar="N",
        help="scores of an accepted answer, 1 to 10, whose mean must be over 8; more than half "
        "must be readable (default: 3)",
    )
    drawing.RELEVANCE.add(group)


def _check(options: Namespace) -> None:
    if options.constrained == "on" and options.engines["verifier"].kind == "openai":
        raise UsageError("--constrained on needs --engine llamacpp or vllm for the verifier")


def _settings(options: Namespace) -> RelevanceSettings:
    return RelevanceSettings(
        seed=options.seed,
        score=drawing.RELEVANCE.read(options),
        scores=options.relevance_scores,
        constrained=is_constrained(options, "verifier"),
    )


RELEVANCE = Stage(
    name="relevance",
    noun="accepted answers",
    # Of equal answers to a prompt one: they would have one score and be chosen once.
    items=f"""
        select response_id as key, prompt_id, prompt, earlier_turns, response
        from verifications join responses using (response_id, prompt_id)
        join prompts using (prompt_id)
        where pass_rate >= {ACCEPTED} and {WHOLE} and prompt_id in (select prompt_id from scope)
        qualify row_number() over (
            partition by prompt_id, trim(response, e' \\t\\n\\r') order by response_id) = 1""",
    task=_score,
    settings=_settings,
    writes=("relevances",),
    options=(Options("relevance of answers", _add, _check), CONSTRAINED),
    after=(VERIFY,),
    roles=("verifier",),
)
