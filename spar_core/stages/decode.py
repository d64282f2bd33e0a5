"""Decode: the best answer to a prompt that a decoder finds within its budget (paper, 2.3.2)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.answers import Answer
from spar_core.dataset import Rows
from spar_core.decoding import DECODERS, Team, decode
from spar_core.decoding.settings import Strategy
from spar_core.engine.protocol import Engine, Sampling, seed_of
from spar_core.ids import answer_id
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import CONSTRAINED, FEWER_VOTES, VOTING, is_constrained, voting
from spar_core.stages.sample import ANSWERING
from spar_core.stages.tree_search import REFINING, SEARCHING, TreeSearchSettings, bounds
from spar_core.tree import SearchTree
from spar_core.voting import Judged

GIVEN = "given"
"""The decoder of answers that somebody else made."""

ONLY_ACTOR: Strategy = "greedy"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSettings(TreeSearchSettings):
    """search: the decoder and its bounds. answering: how the actor's answers are drawn."""

    answering: Sampling


def roles(decoder: Strategy) -> tuple[str, ...]:
    """The engines that a decoder asks for answers."""
    return ("actor",) if decoder == ONLY_ACTOR else ("actor", "refiner")


async def best_answer(
    engines: Mapping[str, Engine],
    settings: DecodeSettings,
    prompt: str,
    seed: int,
    root: tuple[str, Judged] | None = None,
) -> SearchTree:
    """Search with an actor and a refiner that judges its own work; one may be missing.

    Args:
        root: a text to be refined, and its judgement.
    """
    actor = engines.get("actor")
    refiner = engines.get("refiner") or engines["actor"]
    team = Team(refiner=refiner, judge=refiner, actor=actor)
    answering = settings.answering if root is None else None
    return await decode(team, prompt, settings.search, seed, root=root, answering=answering)


def answer_row(
    item: str, benchmark: str, grown: SearchTree, settings: DecodeSettings, model: str, name: str
) -> Answer:
    """The chosen answer of a search; without votes its judge says nothing of it."""
    search, chosen = settings.search, grown.chosen
    judged = chosen.judged
    return Answer(
        answer_id=name,
        item_id=item,
        benchmark=benchmark,
        decoder=search.strategy,
        votes=search.judge.votes if judged.ballots else 0,
        budget=search.budget,
        response=chosen.response,
        model=model,
        responses=max(1, grown.made),
        passed=judged.passed if judged.ballots else None,
        value=judged.value,
        prompt_tokens=grown.prompt_tokens,
        completion_tokens=grown.completion_tokens,
    )


def seed(settings: StageSettings, iteration: int, item: str) -> int:
    return seed_of(settings.seed, iteration, "decode", item)


def _add_budget(group: Any) -> None:
    group.add_argument(
        "--responses_per_item",
        type=drawing.whole(1),
        default=8,
        metavar="N",
        help="responses that a decoder may make for an item, greedy but one (default: 8)",
    )


BUDGET = Options("decoding", _add_budget)
OPTIONS = (BUDGET, ANSWERING, SEARCHING, REFINING, VOTING, CONSTRAINED, FEWER_VOTES)


def settings(options: Namespace, decoder: Strategy) -> DecodeSettings:
    """From a command line whose engines are known."""
    own = voting(options)
    if "refiner" in options.engines:
        own = replace(own, constrained=is_constrained(options, "refiner"))
    budget = 1 if decoder == ONLY_ACTOR else options.responses_per_item
    return DecodeSettings(
        seed=options.seed,
        search=bounds(options, decoder, budget, own),
        answering=drawing.ACTOR.read(options),
    )


DECODER_NAMES: tuple[Strategy, ...] = tuple(DECODERS)


async def _answer(context: Context[DecodeSettings], item: Item) -> Rows:
    key, made_with = item["key"], context.settings
    grown = await best_answer(
        context.engines, made_with, item["prompt"], seed(made_with, context.iteration, key)
    )
    row_name = answer_id(context.iteration, key, context.variant)
    model = context.engines["actor"].name
    return {"answers": [answer_row(key, "", grown, made_with, model, row_name)]}


def _answering(decoder: Strategy) -> Stage[DecodeSettings]:
    return Stage(
        name="best_answer",
        noun="prompts",
        items="""
            select prompt_id as key, prompt from prompts
            where prompt_id in (select prompt_id from scope)""",
        task=_answer,
        settings=lambda options: settings(options, decoder),
        writes=("answers",),
        options=OPTIONS,
        roles=roles(decoder),
    )


ANSWERERS: dict[str, tuple[Stage[Any], ...]] = {
    decoder: (_answering(decoder),) for decoder in DECODER_NAMES
}
"""The stages of `pipelines.answer` by the decoder."""
