"""Rate: the actor itself rates each sampled response, several times by one rubric."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from schemas.ratings import Rating
from schemas.responses import WHOLE
from spar_core import rating
from spar_core.chat import prompt_of
from spar_core.checks.strict import check
from spar_core.dataset import Rows
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Message, Sampling, seed_of
from spar_core.ids import rating_id
from spar_core.preference import pair_of_responses
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import CONSTRAINED, is_constrained
from spar_core.stages.sample import SAMPLE
from terminal.exits import UsageError

_TITLE = "rating (defaults: three ratings, arXiv 2401.10020)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings(StageSettings):
    """rate: how a rating is drawn. ratings: so many a response. rubric: what is said, as a hash."""

    rate: Sampling
    ratings: int = 3
    constrained: bool = False
    rubric: str


MEANS = f"""
    select prompt_id, response_id, round(avg(score), 6) as value
    from ratings semi join (select response_id from responses where {WHOLE}) using (response_id)
    group by all having 2 * count(score) > count(*)"""
"""SQL of the responses more than half of whose ratings can be read, with the mean of these."""


async def ratings_of(
    context: Context[RateSettings],
    stage: str,
    key: str,
    messages: Iterable[Message],
    grammar: Callable[[int], str],
) -> ChatAnswer:
    """The actor's ratings of what a conversation shows it.

    Args:
        grammar: what holds a rating to its form, by the tokens that it may have.
    """
    settings = context.settings
    return await context.engines["actor"].chat(
        ChatRequest(
            messages=tuple(messages),
            sampling=settings.rate,
            n=settings.ratings,
            seed=seed_of(settings.seed, context.iteration, stage, key),
            grammar=grammar(settings.rate.max_tokens) if settings.constrained else None,
        )
    )


async def _rate(context: Context[RateSettings], item: Item) -> Rows:
    engine, response = context.engines["actor"], item["key"]
    messages = rating.rate_messages(prompt_of(item), item["response"])
    answer = await ratings_of(context, "rate", response, messages, rating.rate_grammar)
    ratings = [
        Rating(
            rating_id=rating_id(response, number, context.variant),
            response_id=response,
            prompt_id=item["prompt_id"],
            number=number,
            score=rating.read_score(choice.text),
            critique=choice.text,
            model=engine.name,
            finish_reason=choice.finish_reason,
            prompt_tokens=0 if number else answer.prompt_tokens,
            completion_tokens=choice.tokens,
        )
        for number, choice in enumerate(answer.choices)
    ]
    return {"ratings": ratings}


async def pair_of_rated(context: Context[Any], item: Item, method: str) -> Rows:
    """The pair of two rated responses, each checked by the program where the prompt has checks."""
    checked = {
        f"{side}_checked": await check(item["checks"], item[side])
        for side in ("chosen", "rejected")
    }
    pairs = pair_of_responses(item | checked, method, context.iteration, context.variant)
    return {"pairs": pairs} if pairs else {}


def _add(group: Any) -> None:
    group.add_argument(
        "--ratings",
        type=drawing.whole(1),
        default=3,
        metavar="N",
        help="ratings of a response; more than half must be readable (default: 3)",
    )
    drawing.RATE.add(group)


def _check(options: Namespace) -> None:
    if options.constrained == "on" and options.engines["actor"].kind == "openai":
        raise UsageError("--constrained on needs --engine llamacpp or vllm for the actor")


RATING = Options(_TITLE, _add, _check)


def settings_of(options: Namespace, rubric: str) -> RateSettings:
    """Of a job's options, and what is said, as a hash."""
    return RateSettings(
        seed=options.seed,
        rate=drawing.RATE.read(options),
        ratings=options.ratings,
        constrained=is_constrained(options, "actor"),
        rubric=rubric,
    )


RATE = Stage(
    name="rate",
    noun="responses",
    items=f"""
        select response_id as key, prompt_id, prompt, earlier_turns, response
        from responses join prompts using (prompt_id)
        where {WHOLE} and prompt_id in (select prompt_id from scope)""",
    task=_rate,
    settings=lambda options: settings_of(options, rating.fingerprint()),
    writes=("ratings",),
    options=(RATING, CONSTRAINED),
    after=(SAMPLE,),
    roles=("actor",),
)
