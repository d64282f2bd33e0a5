"""Before iteration 1: prompts are evolved, a teacher teaches on some, the first models are made."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.table import Table

from pipelines.bootstrap_options import Bootstrap, Command
from pipelines.execution.next_step import DROPPED
from pipelines.execution.parts import depends_on, settings_of
from pipelines.iterate_options import Loop
from pipelines.iterations import FIRST, number, training
from pipelines.steps import Steps
from schemas.prompts import TRAIN
from schemas.table import MAIN
from schemas.views import connect, named_in
from spar_core import variants
from spar_core.dataset import Dataset
from spar_core.stages.sample import SAMPLE
from spar_core.variants import SettingsDiffer
from terminal import trail
from terminal.console import Console
from terminal.exits import InputError
from terminal.text import as_table

MOST = 1000
"""Prompts that are taught on where nobody says how many."""


def check(loop: Loop) -> None:
    """Refuse other settings than those of what is done; what is in progress checks its own.

    Raises:
        SettingsDiffer: with what differs.
    """
    record, bootstrap = loop.models.record(0), loop.bootstrap
    if bootstrap is None:
        if record.evolved:
            raise SettingsDiffer(f"the run {loop.run} was begun with --bootstrap")
        return
    if not record.is_done and variants.is_begun(Dataset(loop.run, 1), SAMPLE.name, MAIN):
        raise SettingsDiffer(f"iteration 1 of {loop.run} was begun without --bootstrap")
    if record.evolved:
        _claim_evolved(bootstrap)
    if record.refined:
        _claim_taught(loop, bootstrap)


def begin(steps: Steps, bootstrap: Bootstrap) -> None:
    """Do what is left of it."""
    record = steps.loop.models.record(0)
    if not record.evolved:
        with steps.noted(0, record):
            _evolve(steps, bootstrap)
            record.evolved = True
    if not record.refined:
        with steps.noted(0, record):
            _teach(steps, bootstrap)
            record.refined = True
    steps.train(0, record)


def _evolve(steps: Steps, bootstrap: Bootstrap) -> None:
    run, seeds = steps.loop.run, bootstrap.evolve.job.files
    steps.announce(0, f"prompts are evolved of {seeds}")
    force = ["--force"] if steps.loop.job.options.force else []
    command = [sys.executable, "-m", "pipelines.evolve", *bootstrap.evolve.argv, *force]
    steps.run(command, "pipelines.evolve")
    if not _evolved(run):
        raise InputError(f"no prompt came of {seeds}; why: {trail.query(run, DROPPED)}")
    _claim_evolved(bootstrap)


def _teach(steps: Steps, bootstrap: Bootstrap) -> None:
    actor = bootstrap.teach.job.engines["actor"].model
    limit = _limit(steps.loop, bootstrap)
    steps.announce(0, f"a teacher's lessons on {limit or 'all'} prompts, with actor {actor}")
    command = [sys.executable, "-m", "pipelines.bootstrap", *bootstrap.teach.argv]
    steps.run([*command, "--limit", str(limit)], "pipelines.bootstrap")
    _claim_taught(steps.loop, bootstrap)


def _limit(loop: Loop, bootstrap: Bootstrap) -> int:
    """How many of the evolved prompts are taught on; 0 for all."""
    if bootstrap.limit is not None:
        return bootstrap.limit
    return min(MOST, max(1, _evolved(loop.run) // 2))


def _evolved(run: str) -> int:
    """How many prompts were evolved that may be trained on."""
    with connect(run, ("prompts",)) as connection:
        query = "select count(*) from prompts where iteration = 0 and split = ?"
        return int(connection.execute(query, [TRAIN]).fetchall()[0][0])


def _claim_evolved(bootstrap: Bootstrap) -> None:
    job = bootstrap.evolve.job
    _hold("iterate.evolve", bootstrap.evolve, {"seeds": job.files, "limit": job.limit})


def _claim_taught(loop: Loop, bootstrap: Bootstrap) -> None:
    limit = _limit(loop, bootstrap)
    _hold("iterate.bootstrap", bootstrap.teach, {"bootstrap_limit": limit})


def _hold(name: str, command: Command, claimed: dict[str, Any]) -> None:
    """From now on these are the settings of a job that is done."""
    job = command.job
    for stage in job.stages:
        claimed |= depends_on(job, stage, settings_of(job, stage))
    variants.hold(job.dataset, name, claimed)


_OTHERS = f"""
    select prompt, checks, checks_complete,
           prompt_id in (select prompt_id from responses where iteration = 0) as taught
    from prompts where iteration = 0 and split = '{TRAIN}' order by taught, position
"""
_FROM_ELSEWHERE = """
    select 1 from prompts where iteration > 0 and
        prompt_id not in (select prompt_id from prompts where iteration = 0) limit 1
"""


def others(loop: Loop, out: Console) -> str:
    """A file of the evolved prompts that were not taught on; "" where the run has its own.

    Where there are too few of them those that were taught on follow.
    """
    with connect(loop.run, ("prompts", "responses")) as connection:
        if connection.sql(_FROM_ELSEWHERE).fetchall():
            return ""
        evolved = connection.sql(_OTHERS).to_arrow_table()
    taught = sum(evolved["taught"].to_pylist())
    left = evolved.num_rows - taught
    if left >= loop.iterations * (loop.job.limit or 1):
        evolved = evolved.slice(0, left)
    else:
        out.print(
            f"of the evolved prompts {left} were not taught on, which is too few: the iterations "
            "take the others too",
            markup=False,
        )
    path = loop.models.folder / "evolved.parquet"
    scratch = path.with_name(f"{path.name}.tmp")
    pq.write_table(evolved.drop_columns(["taught"]), scratch)
    os.replace(scratch, path)
    return str(path)


_BROUGHT = """
    select (select count(*) from seeds where iteration = 0) as seeds,
           (select count(*) from prompts where iteration = 0) as "prompts evolved",
           (select count(distinct prompt_id) from responses where iteration = 0)
               as "prompts taught on",
           (select count(*) from sft_actor where iteration = 0) as answers,
           (select count(*) from sft_refiner where iteration = 0 and task = 'judge') as judgements,
           (select count(*) from sft_refiner where iteration = 0 and task = 'refine')
               as refinements,
           (select sum(completion_tokens)::bigint from usage where iteration = 0)
               as "completion tokens"
"""


def table(loop: Loop) -> Table:
    """What came of it."""
    with connect(loop.run, named_in(_BROUGHT)) as connection:
        relation = connection.sql(_BROUGHT)
        brought = dict(zip(relation.columns, relation.fetchall()[0], strict=True))
    record = loop.models.record(0)
    for role in FIRST:
        trained = record.trained.get(role.name) is not None
        told = training(loop.models.made(role, 0)) if trained else None
        brought |= {
            f"{role.name}: SFT steps": number(told, "result", "steps"),
            f"{role.name}: SFT loss": number(told, "result", "final", "loss"),
            f"first {role.name}": Path(loop.models.of(role, 1)).name,
        }
    brought["minutes"] = round(record.seconds / 60, 1)
    return as_table(["", "before iteration 1"], [*brought.items()], "What the bootstrap brought")
