"""What comes after a job on prompts or seeds: the next step of the trail (`terminal.trail`)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pipelines.execution.intakes import rows
from pipelines.execution.options import Job
from schemas.table import MAIN
from spar_core.engine.keys import KEY_VARIABLE
from spar_core.stage import PROMPTS
from terminal import trail

_NEXT_JOB: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "prompts": ("refine", None),
    "responses": ("judge", ()),
    "judgements": ("tree_search", ("judge",)),
    "nodes": ("pairs", None),
}
"""The job after one, by the last table that it has written.

With the roles whose own engines both jobs know; None where the engines are not the same, or none.
"""

_ANSWERS = (
    "select prompt, response, passed from answers join prompts on prompt_id = item_id limit 5"
)
DROPPED = (
    "select dropped, count(*) as seeds, any_value(seed) as example, any_value(why) as why "
    "from evolutions group by dropped order by seeds desc"
)
"""Why seeds became no prompts, a line for each cause."""

_ENGINE = (
    *("engine", "model", "engine_url", "serve", "engine_key", "engine_args", "engine_body"),
    "thinking",
)
_OF_ROLES = ("model", "url", "engine", "adapter", "body", "thinking")


def following(job: Job) -> str:
    """Return the lines that say what to do after a job that is done."""
    run, last = job.dataset.run, job.stages[-1].writes[-1]
    if last == PROMPTS and not rows(job, "prompts"):
        return f"No prompts: every seed was dropped; why: {trail.query(run, DROPPED)}"
    if last == "answers":
        return trail.following(trail.query(run, _ANSWERS))
    if last in ("sft_actor", "sft_refiner"):
        tasks = [task for task in ("actor", "refiner") if rows(job, f"sft_{task}")]
        iteration = job.dataset.iteration
        return trail.following(*(trail.sft(run, task, iteration) for task in tasks or ["actor"]))
    if last in _NEXT_JOB:
        name, roles = _NEXT_JOB[last]
        more = [] if roles is None else engines(job.options, roles)
        return trail.following(trail.stage(name, run, [*which(job), *more]))
    return trail.following(trail.report(run))


def which(job: Job) -> list[str]:
    """Return the arguments that name a job's iteration and variant, if they are not the usual."""
    iteration, variant = job.dataset.iteration, job.variant
    return [
        *([] if iteration == 1 else ["--iteration", str(iteration)]),
        *([] if variant == MAIN else ["--variant", variant]),
    ]


def engines(options: argparse.Namespace, roles: Sequence[str]) -> list[str]:
    """Return the arguments that name a job's engines, as its command line has them.

    Headers are left out: they may hold what nobody else should see.

    Args:
        options: of the command line.
        roles: whose own engines are meant, beside the one for all roles.
    """
    of_roles = [f"{role}_{what}" for role in roles for what in _OF_ROLES]
    said = {name: getattr(options, name, None) for name in (*_ENGINE, *of_roles)}
    if said["engine_key"] == KEY_VARIABLE:
        del said["engine_key"]
    words = []
    for name, value in said.items():
        if value not in (None, ""):
            is_plain = not str(value).startswith("-")
            words += [f"--{name}", str(value)] if is_plain else [f"--{name}={value}"]
    return words
