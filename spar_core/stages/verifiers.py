"""Verifiers: functions that check answers to a prompt, written by a model and held to one another.

Their code runs in the sandbox only (docs/sandbox.md); what cannot run there is counted.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from schemas.verifiers import Verifier
from spar_core.chat import prompt_of, shown
from spar_core.dataset import Rows
from spar_core.engine.protocol import seed_of
from spar_core.filters.library import needed
from spar_core.ids import verifier_id
from spar_core.sandbox.children import PACKAGE
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.verification import engine
from spar_core.verification.engine import WriteSettings, Written
from spar_core.verification.trial import Limits

_TITLE = "verification functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiersSettings(StageSettings):
    """write: how functions are written. wording: changes when what is said to the model does."""

    write: WriteSettings
    wording: str


async def _write(context: Context[VerifiersSettings], item: Item) -> Rows:
    settings, writer, key = context.settings, context.engines["verifier"], item["key"]
    seed = seed_of(settings.seed, context.iteration, "verifiers", key)
    written = await engine.write(writer, shown(prompt_of(item)), settings.write, seed)
    rows = [_row(context, key, number, each) for number, each in enumerate(written)]
    return {"verifiers": rows}


def _row(context: Context[VerifiersSettings], prompt: str, number: int, made: Written) -> Verifier:
    columns: dict[str, Any] = {
        field.name: getattr(made, field.name) for field in dataclasses.fields(made)
    }
    return Verifier(
        verifier_id=verifier_id(context.iteration, prompt, number, context.variant),
        prompt_id=prompt,
        model=context.engines["verifier"].name,
        **columns | {"cases": list(made.cases)},
    )


def _add(group: Any) -> None:
    group.add_argument(
        "--functions",
        type=drawing.whole(1),
        default=8,
        metavar="N",
        help="functions written for a prompt (default: 8)",
    )
    drawing.VERIFIER.add(group)


def _add_limits(group: Any) -> None:
    group.add_argument(
        "--sandbox_seconds",
        type=drawing.between(0, 600, over=True),
        default=1.0,
        metavar="S",
        help="time of a function for all the answers that it is asked of at once (default: 1)",
    )
    group.add_argument(
        "--sandbox_memory_mb",
        type=drawing.whole(1),
        default=64,
        metavar="MB",
        help="memory of a function (default: 64)",
    )


def _check_sandbox(_: Namespace) -> None:
    needed("pydantic_monty", PACKAGE, "--method autoif", "code")


SANDBOX = Options(_TITLE, _add_limits, _check_sandbox)


def limits(options: Namespace) -> Limits:
    """What the sandbox gives a function, from a command line."""
    return Limits(options.sandbox_seconds, options.sandbox_memory_mb)


def _settings(options: Namespace) -> VerifiersSettings:
    write = WriteSettings(drawing.VERIFIER.read(options), options.functions, limits(options))
    return VerifiersSettings(seed=options.seed, write=write, wording=engine.fingerprint())


VERIFIERS = Stage(
    name="verifiers",
    noun="prompts",
    items="""
        select prompt_id as key, prompt_id, prompt, earlier_turns from prompts
        where prompt_id in (select prompt_id from scope)""",
    task=_write,
    settings=_settings,
    writes=("verifiers",),
    options=(Options(_TITLE, _add), SANDBOX),
    roles=("verifier",),
)
