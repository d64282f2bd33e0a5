"""Decode: the best answer to a prompt that a decoder finds within its budget (paper, 2.3.2)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.answers import Answer
from spar_core.checked_judging import Task
from spar_core.dataset import Rows
from spar_core.decoding import DECODERS, Team, decode
from spar_core.decoding.settings import Strategy
from spar_core.engine.protocol import Engine, Sampling, seed_of
from spar_core.ids import answer_id
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import (
    CHECKS,
    CONSTRAINED,
    FEWER_VOTES,
    VOTING,
    is_constrained,
    task_of,
    voting,
)
from spar_core.stages.sample import ANSWERING
from spar_core.stages.tree_search import REFINING, SEARCHING, TreeSearchSettings, bounds
from spar_core.tree import SearchTree
from spar_core.voting import Judged

GIVEN = "given"
"""The decoder of answers that somebody else made."""

ONLY_ACTOR: Strategy = "greedy"

_REFINE: tuple[Strategy, ...] = ("iterative", "bfs", "dfs")


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
    task: Task,
    seed: int,
    root: tuple[str, Judged] | None = None,
) -> SearchTree:
    """Search with an actor and a refiner that judges its own work; one may be missing.

    The checks of the task have a say in it as `settings.search.judge.checks` has it.

    Args:
        root: a text to be refined, and its judgement.
    """
    actor = engines.get("actor")
    refiner = engines.get("refiner") or engines["actor"]
    team = Team(refiner=refiner, judge=refiner, actor=actor)
    answering = settings.answering if root is None else None
    return await decode(team, task, settings.search, seed, root=root, answering=answering)


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
        responses=max(1, grown.written if search.counts_malformed else grown.made),
        passed=judged.passed if judged.ballots or judged.by_program else None,
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
        help="responses that a decoder may have written for an item, greedy but one; refinements "
        "that cannot be read count (default: 8)",
    )
    group.set_defaults(counts_malformed=None)


BUDGET = Options("decoding", _add_budget)
OPTIONS = (BUDGET, ANSWERING, SEARCHING, REFINING, VOTING, CONSTRAINED, FEWER_VOTES)


def settings(options: Namespace, decoder: Strategy) -> DecodeSettings:
    """From a command line whose engines are known."""
    own = voting(options)
    if "refiner" in options.engines:
        own = replace(own, constrained=is_constrained(options, "refiner"))
    budget = 1 if decoder == ONLY_ACTOR else options.responses_per_item
    # Greedy asks for nothing that counting could change: its runs begun before go on.
    counts = decoder != ONLY_ACTOR and options.counts_malformed is not False
    search = replace(bounds(options, decoder, budget, own), counts_malformed=counts)
    return DecodeSettings(seed=options.seed, search=search, answering=_answers(options, decoder))


def _answers(options: Namespace, decoder: Strategy) -> Sampling:
    """How the actor's answers are drawn.

    Unless a temperature is given a decoder that refines begins with the answer of greedy decoding:
    where the two are compared, they differ in the refinements alone.
    """
    drawn = drawing.ACTOR.read(options)
    is_given = options.actor_temperature is not None
    return replace(drawn, temperature=0.0) if decoder in _REFINE and not is_given else drawn


DECODER_NAMES: tuple[Strategy, ...] = tuple(DECODERS)


async def _answer(context: Context[DecodeSettings], item: Item) -> Rows:
    key, made_with = item["key"], context.settings
    grown = await best_answer(
        context.engines, made_with, task_of(item), seed(made_with, context.iteration, key)
    )
    row_name = answer_id(context.iteration, key, context.variant)
    model = context.engines["actor"].name
    return {"answers": [answer_row(key, "", grown, made_with, model, row_name)]}


def _answering(decoder: Strategy) -> Stage[DecodeSettings]:
    return Stage(
        name="best_answer",
        noun="prompts",
        items="""
            select prompt_id as key, prompt, earlier_turns, checks, checks_complete from prompts
            where prompt_id in (select prompt_id from scope)""",
        task=_answer,
        settings=lambda options: settings(options, decoder),
        writes=("answers",),
        options=(*OPTIONS, CHECKS),
        roles=roles(decoder),
    )


ANSWERERS: dict[str, tuple[Stage[Any], ...]] = {
    decoder: (_answering(decoder),) for decoder in DECODER_NAMES
}
"""The stages of `pipelines.answer` by the decoder."""
