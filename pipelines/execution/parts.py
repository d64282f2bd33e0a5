"""What each stage of a job runs with: settings, models, and whose rows it makes and reads."""

from __future__ import annotations

import dataclasses
import itertools
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.execution.options import Job, reads_prompts
from pipelines.execution.plan import Part, makers
from schemas.table import MAIN
from spar_core import chat, variants
from spar_core.conversation import fingerprint
from spar_core.engine.preflight import resolve
from spar_core.engine.spec import identity
from spar_core.stage import DEFAULT_ROLES, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.judge import JUDGE
from spar_core.variants import Settings, SettingsDiffer

_CHECKS, _COUNTS = "judge.checks", "search.counts_malformed"
_AS_BEGUN = {
    "checks": _CHECKS,
    "ask_again": "judge.ask_again",
    "counts_malformed": _COUNTS,
}
"""Options that, where they are not given, go on as the iteration was begun; the setting of each."""

_DRAWN_BEFORE = drawing.ACTOR.temperature
"""The temperature of a decoder's first answers while unreadable refinements did not count."""


@dataclass(frozen=True)
class Claimed:
    """A stage's part, and what its rows depend on."""

    part: Part
    claim: Settings


def parts(job: Job, scope: Sequence[str] | None) -> list[Claimed]:
    """The parts of a job's stages in their order.

    Raises:
        SettingsDiffer: rows of a stage are there that were made with other settings.
    """
    options = _as_begun(job)  # once: it reads a file of the run for every stage
    makers: dict[str, str] = {}
    found = []
    for stage in job.stages:
        settings: StageSettings = stage.settings(options)
        inputs = {each.name: _maker(job, each.name, makers) for each in stage.after}
        claim = variants.with_inputs(depends_on(job, stage, settings), inputs)
        maker = variants.find(job.dataset, stage.name, job.variant, claim)
        makers[stage.name] = maker
        reads = {each.name: _maker(job, each.name, makers) for each in stage.upstream()}
        found.append(Claimed(Part(stage, settings, maker, reads, scope, job.split), claim))
    _check_checks(job, found)
    return found


def settings_of(job: Job, stage: Stage[Any]) -> StageSettings:
    """What a stage's rows depend on beside its engines and inputs."""
    settings: StageSettings = stage.settings(_as_begun(job))
    return settings


def _as_begun(job: Job) -> Namespace:
    """The options of a job; some that are not given are as the iteration, or a run of earlier
    times, was begun.
    """
    judging = list(dict.fromkeys(e.name for some in job.stages for e in some.upstream()))
    values = dict(vars(job.options))
    for option, setting in _AS_BEGUN.items():
        if option in values and values[option] is None:
            values[option] = variants.begun_with(job.dataset, judging, job.variant, setting)
            if setting == _COUNTS and values[option] is False:
                given = values["actor_temperature"]
                values["actor_temperature"] = _DRAWN_BEFORE if given is None else given
    return Namespace(**values)


def _check_checks(job: Job, found: Sequence[Claimed]) -> None:
    """Refuse to search with another word of the checks than the responses were judged with.

    Raises:
        SettingsDiffer: with both.
    """
    judging = JUDGE.name
    if any(each.part.stage.name == judging for each in found):
        return  # all of them go by the same options
    for each in found:
        wanted, maker = each.claim.get(_CHECKS), each.part.inputs.get(judging)
        if wanted is None or maker is None:
            continue
        judged = variants.begun_checks(job.dataset, judging, maker)
        if judged not in (None, wanted):
            raise SettingsDiffer(
                f"stage {each.part.stage.name} is to go by --checks {wanted}, and stage {judging} "
                f"was done with --checks {judged}"
            )


def together(job: Job, claimed: Sequence[Claimed]) -> list[Claimed]:
    """The stages that a worker takes a prompt through, one after another; none where they are not.

    They begin with the first and end before a selection over the whole run. All their engines must
    be there at once: at URLs, or, where it is asked for, one for all roles. All rows that they read
    are of one variant.
    """
    first = list(itertools.takewhile(lambda each: not each.part.stage.replaces, claimed))
    stages = [each.part.stage for each in first]
    specs = {job.engines[role] for stage in stages for role in stage.roles}
    read = [stages for each in first for stages in makers(each.part).values()]
    variants_read = {name for stages in read for name in stages.values()}
    asked = getattr(job.options, "together", "off")
    is_one_job = (
        reads_prompts(tuple(stages))
        and (
            (asked != "off" and bool(specs) and all(spec.url for spec in specs))
            or (asked == "on" and len({spec.shared for spec in specs}) == 1)
        )
        and variants_read == {first[0].part.variant}
    )
    return first if is_one_job else []


def depends_on(job: Job, stage: Stage[Any], settings: StageSettings) -> dict[str, Any]:
    """What a stage's rows depend on but its inputs: two of these must not mix in a variant."""
    models: dict[str, str] = {}
    for role in stage.roles:
        spec = job.engines[role]
        # A role that is played by another's engine is told apart from it nowhere.
        standing_in = DEFAULT_ROLES.get(role, role)
        name = standing_in if job.engines[standing_in].binding == spec.binding else role
        models |= {f"{name}.{what}": value for what, value in identity(spec).items()}
    return (
        {variants.TEMPLATES: fingerprint(), "chats.wording": chat.fingerprint()}
        | models
        | settings.named()
    )


def with_models(job: Job) -> Job:
    """The job with the models' names filled in where a server that is asked is left to say them."""
    asked = {job.engines[role].url for role in asked_roles(job)}
    specs = dict.fromkeys(job.engines.values())
    named = {spec: resolve(spec) if spec.url in asked else spec for spec in specs}
    engines = {role: named[spec] for role, spec in job.engines.items()}
    return dataclasses.replace(job, engines=engines)


def asked_roles(job: Job) -> list[str]:
    """The roles whose engines its stages ask."""
    return list(dict.fromkeys(role for stage in job.stages for role in stage.roles))


def claim(job: Job, claimed: Claimed) -> None:
    """Write down what a stage runs with, in the variant and in the one whose rows it makes."""
    name, maker = claimed.part.stage.name, claimed.part.variant
    if job.variant == maker or not variants.is_begun(job.dataset, name, maker):
        variants.claim(job.dataset, name, maker, maker, claimed.claim)
    if job.variant != maker:
        variants.claim(job.dataset, name, job.variant, maker, claimed.claim)


def _maker(job: Job, stage: str, makers: dict[str, str]) -> str:
    if job.variant == MAIN:
        return MAIN
    return makers.get(stage) or variants.made_by(job.dataset, stage, job.variant)
