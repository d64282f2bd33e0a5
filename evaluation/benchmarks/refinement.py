"""Refinement: a run's failing answers are refined anew, and the refinements judged.

Three look at a refinement: `self`, the refiner that made it (the answer's `passed`); `judge`,
another model; `program`, where the prompt's constraints can be checked. SPaR (arXiv 2412.11605)
counts 90.5 % right by the refiner itself and 79.0 % by GPT-4o: the difference is its bias.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from evaluation.benchmark import BadData, Benchmark, Figure, Finding, Scored, details, verdict
from schemas.evaluations import Part, Unit
from schemas.items import Item
from schemas.manifest import FOLDER
from schemas.prompts import Check
from schemas.table import MAIN
from schemas.views import connect
from spar_core.chat import shown, with_earlier
from spar_core.checks.strict import follows
from spar_core.engine.protocol import Engine
from spar_core.voting import JudgeSettings, judge

NAME = "refinement"

_FAILED = f"""
    with failed as (
        select iteration, prompt_id, response_id, response
        from judgements join responses using (iteration, variant, response_id, prompt_id)
        where variant = '{MAIN}' and (not checked or (checked is null and verdict = 'no')))
    select response_id, prompt_id, prompt, earlier_turns, checks, response
    from failed join prompts using (iteration, prompt_id)
    where iteration = (select max(iteration) from failed)
    order by position, response_id
"""
"""A check that ran counts for more than the verdict."""


def read(paths: Sequence[Path]) -> Iterator[Item]:
    """The failing responses of a run's main variant, of the last iteration that has any.

    Args:
        paths: the run's folder, alone.

    Raises:
        BadData: there is no run, or nothing in it that failed.
    """
    if len(paths) != 1:
        raise BadData(f"{NAME} takes the folder of one run, not {len(paths)} paths")
    [run] = paths
    if not (run / FOLDER).is_dir():
        raise BadData(
            f"{run}: no run there (it has no {FOLDER}); give the folder that "
            "`python -m pipelines.refine --run` or `pipelines.iterate` made"
        )
    with connect(str(run), ("prompts", "responses", "judgements")) as connection:
        rows = connection.execute(_FAILED).fetchall()
    if not rows:
        raise BadData(
            f"{run}: no failing answers: none of the main variant's responses is judged `no` or "
            f"misses a check; run `python -m pipelines.sample --run {run}` and `pipelines.judge`, "
            "or give prompts that are harder"
        )
    for position, (response_id, prompt_id, prompt, earlier, checks, response) in enumerate(rows):
        yield Item(
            *("", NAME, response_id, shown(with_earlier(prompt, earlier)), position),
            checks=[Check(**each) for each in checks] if checks else None,
            given=response,
            details=json.dumps({"prompt_id": prompt_id}),
        )


def check(item: Item, refined: str) -> list[Finding]:
    """Whether a refinement passes all checks, and each; nothing where the prompt has none."""
    checks = [asdict(each) for each in item.checks or ()]
    if not checks:
        return []
    return [_checked(follows(checks, refined))] + [
        _checked(follows([each], refined), number, each["id"]) for number, each in enumerate(checks)
    ]


def _checked(passes: bool | None, number: int | None = None, kind: str | None = None) -> Finding:
    if passes is None:
        return Finding("program", None, number, kind, "a checker could not run")
    return Finding("program", float(passes), number, kind)


async def grade(
    engine: Engine, settings: JudgeSettings, item: Item, refined: str, seed: int
) -> list[Finding]:
    """1 where the judge lets a refinement pass, 0 where it does not."""
    return [verdict("judge", await judge(engine, item.prompt, refined, settings, seed))]


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """Shares of the refinements that pass: `program`, `judge`, `self`; `program` by kind of check.

    program is of the items that have checks; it is left out where none has any, and judge where
    nobody else judged. Units are the prompts, of which several answers may have failed.
    """
    checked = [each for each in scored if each.item.checks]
    judged = any(finding.metric == "judge" for each in scored for finding in each.findings)
    found = [_share("program", checked)] if checked else []
    found += [_share("judge", scored)] if judged else []
    found.append(_share("self", scored))
    kinds = {check.id for each in checked for check in each.item.checks or ()}
    return found + [_share("program", _having(kind, checked), kind) for kind in sorted(kinds)]


def _having(kind: str, scored: Sequence[Scored]) -> list[Scored]:
    return [each for each in scored if kind in {check.id for check in each.item.checks or ()}]


def _share(metric: str, scored: Sequence[Scored], kind: str | None = None) -> Figure:
    """Of all findings on whole answers, or on a kind of check; all of an item's must be decided."""
    prompts: dict[str, list[float]] = {}
    count = 0
    for each in scored:
        values = [
            finding.value
            for finding in each.findings
            if (finding.metric, finding.constraint) == (metric, kind)
        ]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            prompts.setdefault(details(each.item)["prompt_id"], []).extend(known)
            count += 1
    units = [Unit(key, [Part(sum(some), float(len(some)))]) for key, some in prompts.items()]
    return Figure(metric, kind or "", units, count, len(scored))


REFINEMENT = Benchmark(
    name=NAME,
    about="how many of a run's failing answers a refiner mends, by itself, a judge and a program",
    files=(),
    read=read,
    answers="refinement",
    check=check,
    grade=grade,
    figures=figures,
)
