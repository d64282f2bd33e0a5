"""Judge: votes on each sampled response, and the verdict of their majority."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from schemas.responses import WHOLE
from spar_core.chat import prompt_of
from spar_core.checked_judging import Task, judge_checked, wording
from spar_core.dataset import Rows
from spar_core.engine.protocol import seed_of
from spar_core.engine.thinking import is_on
from spar_core.records import judgement_row
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.sample import SAMPLE
from spar_core.variants import flat
from spar_core.voting import Checks, JudgeSettings
from terminal.exits import UsageError

DEFAULT_CHECKS: Checks = "veto"
DEFAULT_ASK_AGAIN = 2
"""A response is asked about three times at most, as in the authors' code."""

ONE_OF_EACH_OUTCOME = f"""
            select * from judgements
            semi join (select response_id from responses where {WHOLE}) using (response_id)
            where outcome in ('yes', 'no')
            qualify row_number() over (
                partition by prompt_id, outcome order by md5(response_id || ':' || $seed)) = 1"""
"""SQL of the judgements of one response of a prompt that passed and of one that failed, as the seed
draws them."""

_HELD = ("judge", "refiner", "teacher")
"""Roles that answer in the wire format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeStageSettings(StageSettings):
    """judge_once: whether equal responses to a prompt are judged once."""

    judge: JudgeSettings
    judge_once: bool = False

    def named(self) -> dict[str, Any]:
        return flat(asdict(self)) | wording(self.judge.checks)


async def _judge(context: Context[JudgeStageSettings], item: Item) -> Rows:
    settings, engine = context.settings, context.engines["judge"]
    seed = seed_of(settings.seed, context.iteration, "judge", item["key"])
    judged = await judge_checked(engine, task_of(item), item["response"], settings.judge, seed)
    rows = [
        judgement_row(response_id, item["prompt_id"], judged, engine.name)
        for response_id in item["response_ids"]
    ]
    free = [replace(row, prompt_tokens=0, completion_tokens=0) for row in rows[1:]]
    return {"judgements": [rows[0], *free]}


def task_of(item: Item) -> Task:
    """What the responses to an item's prompt are judged by."""
    return Task(prompt_of(item), item["checks"], bool(item["checks_complete"]))


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
    group.add_argument(
        "--ask_again",
        type=drawing.whole(0),
        metavar="N",
        help="how often more votes are asked for where they tie or cannot be read (default: "
        f"as the iteration, or a run of earlier times, was begun; else {DEFAULT_ASK_AGAIN})",
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
        help="judge equal responses to a prompt once, refinements that equal the response they "
        "begin with among them (equal refinements of a tree are judged once anyway)",
    )


def _add_checks(group: Any) -> None:
    group.add_argument(
        "--checks",
        choices=get_args(Checks),
        help="what the checks of a prompt do beside its judge. report: they stand in the tables, "
        "the paper's behaviour; veto: a response passes only where they let it; decide: as veto, "
        "and where they are all that the prompt asks for (column checks_complete) no judge is "
        "asked (default: as the iteration, or a run of earlier times, was begun; else veto)",
    )


VOTING = Options("judging (defaults: the paper's)", _add_voting, _check_voting)
CHECKS = Options("prompts with checks", _add_checks)
CONSTRAINED = Options("the wire format", _add_constrained, _check_constrained)
FEWER_VOTES = Options("fewer votes (off: the paper's behaviour)", _add_fewer)


def is_constrained(options: Namespace, role: str) -> bool:
    """Whether a grammar holds a role to the wire format.

    Raises:
        UsageError: it does, and the role is asked to think, for which a grammar that holds from the
            first word on has no room.
    """
    if options.constrained == "auto":
        is_held = role in options.bundled and not options.engines[role].adapter
    else:
        is_held = bool(options.constrained == "on")
    if is_held and role in options.engines and is_on(options.engines[role].thinking):
        raise UsageError(
            f"a grammar holds the {role} to the wire format (--constrained), which leaves no room "
            f"for thinking: give --{role}_thinking off, or --constrained off"
        )
    return is_held


def voting(options: Namespace) -> JudgeSettings:
    """How votes are asked for and counted, from a command line."""
    return JudgeSettings(
        drawing.JUDGE.read(options),
        options.votes,
        options.quorum or options.votes // 2 + 1,
        is_constrained(options, "judge"),
        options.stop_votes,
        checks_of(options),
        DEFAULT_ASK_AGAIN if options.ask_again is None else options.ask_again,
    )


def checks_of(options: Namespace) -> Checks:
    """What checks do beside the judge; nothing in a command that has no such option."""
    given: Checks | None = getattr(options, "checks", "report")
    return given or DEFAULT_CHECKS


def _settings(options: Namespace) -> JudgeStageSettings:
    return JudgeStageSettings(
        seed=options.seed, judge=voting(options), judge_once=options.judge_once
    )


JUDGE = Stage(
    name="judge",
    noun="responses",
    # Only equal responses are grouped: to group all would take most of the planning of many.
    items=f"""
        with asked as (
            select response_id, prompt_id, prompt, earlier_turns, checks, checks_complete,
                   response
            from responses join prompts using (prompt_id)
            where {WHOLE} and prompt_id in (select prompt_id from scope))
        select response_id as key, [response_id] as response_ids, prompt_id, prompt,
               earlier_turns, checks, checks_complete, response
        from asked where not $judge_once
        union all
        select min(response_id), list(response_id order by response_id), prompt_id,
               any_value(prompt), any_value(earlier_turns), any_value(checks),
               any_value(checks_complete), any_value(response)
        from asked where $judge_once group by prompt_id, md5(response)""",
    task=_judge,
    settings=_settings,
    writes=("judgements",),
    options=(VOTING, CHECKS, CONSTRAINED, FEWER_VOTES),
    after=(SAMPLE,),
    roles=("judge",),
)
