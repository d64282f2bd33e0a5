"""Judge: votes on each sampled response, and the verdict of their majority."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, replace
from typing import Any

from spar_core.checks.strict import check
from spar_core.dataset import Rows
from spar_core.engine.protocol import seed_of
from spar_core.records import judgement_row
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.sample import SAMPLE
from spar_core.voting import JudgeSettings, judge
from terminal.exits import UsageError

_HELD = ("judge", "refiner", "teacher")
"""Roles that answer in the wire format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeStageSettings(StageSettings):
    """judge_once: whether equal responses to a prompt are judged once."""

    judge: JudgeSettings
    judge_once: bool = False


async def _judge(context: Context[JudgeStageSettings], item: Item) -> Rows:
    settings, engine = context.settings, context.engines["judge"]
    seed = seed_of(settings.seed, context.iteration, "judge", item["key"])
    checked = await check(item["checks"], item["response"])
    judged = await judge(engine, item["prompt"], item["response"], settings.judge, seed)
    rows = [
        judgement_row(response_id, item["prompt_id"], judged, engine.name, checked)
        for response_id in item["response_ids"]
    ]
    free = [replace(row, prompt_tokens=0, completion_tokens=0) for row in rows[1:]]
    return {"judgements": [rows[0], *free]}


def _add_voting(group: Any) -> None:
    group.add_argument(
        "--votes",
        type=drawing.whole(1),
        default=5,
        metavar="N",
        help="votes on a response (default: 5)",
    )
    group.add_argument(
        "--quorum",
        type=drawing.whole(1),
        metavar="N",
        help="readable votes that a verdict needs (default: more than half of --votes)",
    )
    drawing.JUDGE.add(group)


def _check_voting(options: Namespace) -> None:
    if options.quorum is not None and options.quorum > options.votes:
        raise UsageError(f"--quorum {options.quorum} is more than --votes {options.votes}")


def _add_constrained(group: Any) -> None:
    group.add_argument(
        "--constrained",
        choices=("auto", "on", "off"),
        default="auto",
        help="hold whoever judges and refines to the wire format by a grammar (llamacpp, vllm); "
        "auto: on for the bundled model where no adapter has taught it the format",
    )


def _check_constrained(options: Namespace) -> None:
    kinds = {spec.kind for role, spec in options.engines.items() if role in _HELD}
    if options.constrained == "on" and "openai" in kinds:
        raise UsageError("--constrained on needs --engine llamacpp or vllm")


def _add_fewer(group: Any) -> None:
    group.add_argument(
        "--stop_votes",
        action="store_true",
        help="ask for votes only until the majority is certain: same verdicts, coarser values",
    )
    group.add_argument(
        "--judge_once",
        action="store_true",
        help="judge equal responses to a prompt once",
    )


VOTING = Options("judging (defaults: the paper's)", _add_voting, _check_voting)
CONSTRAINED = Options("the wire format", _add_constrained, _check_constrained)
FEWER_VOTES = Options("fewer votes (off: the paper's behaviour)", _add_fewer)


def is_constrained(options: Namespace, role: str) -> bool:
    """Whether a grammar holds a role to the wire format."""
    if options.constrained == "auto":
        return role in options.bundled and not options.engines[role].adapter
    return bool(options.constrained == "on")


def voting(options: Namespace) -> JudgeSettings:
    """How votes are asked for and counted, from a command line."""
    return JudgeSettings(
        drawing.JUDGE.read(options),
        options.votes,
        options.quorum or options.votes // 2 + 1,
        is_constrained(options, "judge"),
        options.stop_votes,
    )


def _settings(options: Namespace) -> JudgeStageSettings:
    return JudgeStageSettings(
        seed=options.seed, judge=voting(options), judge_once=options.judge_once
    )


JUDGE = Stage(
    name="judge",
    noun="responses",
    # Only equal responses are grouped: to group all would take most of the planning of many.
    items="""
        with asked as (
            select response_id, prompt_id, prompt, checks, response
            from responses join prompts using (prompt_id)
            where prompt_id in (select prompt_id from scope))
        select response_id as key, [response_id] as response_ids, prompt_id, prompt, checks,
               response
        from asked where not $judge_once
        union all
        select min(response_id), list(response_id order by response_id), prompt_id,
               any_value(prompt), any_value(checks), any_value(response)
        from asked where $judge_once group by prompt_id, md5(response)""",
    task=_judge,
    settings=_settings,
    writes=("judgements",),
    options=(VOTING, CONSTRAINED, FEWER_VOTES),
    after=(SAMPLE,),
    roles=("judge",),
)
