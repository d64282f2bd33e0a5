"""What each stage of a job runs with: settings, models, and whose rows it makes and reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.execution.options import Job, reads_prompts
from pipelines.execution.plan import Part, makers
from schemas.table import MAIN
from spar_core import variants
from spar_core.conversation import fingerprint
from spar_core.engine.spec import identity
from spar_core.stage import DEFAULT_ROLES, Stage, StageSettings
from spar_core.variants import Settings


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
    makers: dict[str, str] = {}
    found = []
    for stage in job.stages:
        settings: StageSettings = stage.settings(job.options)
        inputs = {each.name: _maker(job, each.name, makers) for each in stage.after}
        claim = variants.with_inputs(depends_on(job, stage, settings), inputs)
        maker = variants.find(job.dataset, stage.name, job.variant, claim)
        makers[stage.name] = maker
        reads = {each.name: _maker(job, each.name, makers) for each in stage.upstream()}
        found.append(Claimed(Part(stage, settings, maker, reads, scope, job.split), claim))
    return found


def together(job: Job, claimed: Sequence[Claimed]) -> list[Claimed]:
    """The stages that a worker takes a prompt through, one after another; none where they are not.

    They begin with the first and end before a selection over the whole run. All their engines must
    be there at once: at URLs, or, where it is asked for, one for all roles. All rows that they read
    are of one variant.
    """
    first = list(itertools.takewhile(lambda each: not each.part.stage.replaces, claimed))
    stages = [each.part.stage for each in first]
    specs = {job.engines[role] for stage in stages for role in stage.roles}
    variants_read = {name for each in first for name in makers(each.part).values()}
    asked = getattr(job.options, "together", "off")
    is_one_job = (
        reads_prompts(tuple(stages))
        and (
            (asked != "off" and bool(specs) and all(spec.url for spec in specs))
            or (asked == "on" and len(specs) == 1)
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
        name = standing_in if job.engines[standing_in] == spec else role
        models |= {f"{name}.{what}": value for what, value in identity(spec).items()}
    return {"templates": fingerprint()} | models | settings.named()


def claim(job: Job, claimed: Claimed) -> None:
    """Write down what a stage runs with, in the variant and in the one whose rows it makes."""
    name, maker = claimed.part.stage.name, claimed.part.variant
    variants.claim(job.dataset, name, maker, maker, claimed.claim)
    if job.variant != maker:
        variants.claim(job.dataset, name, job.variant, maker, claimed.claim)


def _maker(job: Job, stage: str, makers: dict[str, str]) -> str:
    if job.variant == MAIN:
        return MAIN
    return makers.get(stage) or variants.made_by(job.dataset, stage, job.variant)
