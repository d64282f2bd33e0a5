"""Evolve: seeds become prompts with constraints, and what filters leave of them is kept."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from dataclasses import dataclass, replace
from typing import Any

from schemas.evolutions import Evolution
from schemas.prompts import Check, Prompt
from spar_core.checks.library import NoChecker, can_check
from spar_core.constraints import KINDS, wordings
from spar_core.dataset import Rows
from spar_core.engine.protocol import Sampling, seed_of
from spar_core.evolution import engine, rules
from spar_core.evolution.evolved import Evolved
from spar_core.evolution.sifting import SiftSettings, benchmarks, sift
from spar_core.filters.near_duplicates import bands, signature, twins_sql
from spar_core.ids import evolution_id, prompt_id
from spar_core.stage import Context, Item, Options, Stage, StageSettings
from spar_core.stages import decontamination, drawing
from terminal.exits import UsageError

INTAKE = "seeds"

NEAR = "near_duplicate"
"""Why a seed or a prompt is dropped that an earlier one is like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolveSettings(StageSettings):
    """more: constraints beside the main one, at most. kinds: ids that the rules draw from.
    write: how a model writes; None for the rules. wording: what is said to the model, or what the
    rules say, as a hash.
    """

    sift: SiftSettings
    more: int = 3
    kinds: tuple[str, ...] = ()
    write: Sampling | None = None
    wording: str


async def _evolve(context: Context[EvolveSettings], item: Item) -> Rows:
    settings, seed = context.settings, item["seed"]
    writer = context.engines["writer"] if settings.write else None
    row = begun(context, item, writer.name if writer else rules.NAME, settings.sift)
    if row.dropped:
        return {"drafts": [row]}
    draws = seed_of(settings.seed, context.iteration, "evolve", item["key"])
    if writer and settings.write:
        evolved = await engine.evolve(writer, seed, settings.write, settings.more, draws)
    else:
        evolved = rules.evolve(seed, settings.kinds, settings.more, draws)
    return {"drafts": [drafted(row, evolved, settings.sift)]}


def begun(context: Context[Any], item: Item, writer: str, sifting: SiftSettings) -> Evolution:
    """The row of a seed that nothing was written for yet, dropped where a filter takes it."""
    row = Evolution(
        evolution_id=evolution_id(context.iteration, item["key"], context.variant),
        seed_id=item["key"],
        seed=item["seed"],
        writer=writer,
        position=item["position"],
        split=item["split"],
    )
    if item["near"]:
        why = "an earlier seed says nearly the same"
        return replace(row, dropped=NEAR, why=why, near=item["near"])
    if found := sift(item["seed"], sifting):
        return replace(row, dropped=found.cause, why=found.why, near=found.near)
    return row


def drafted(row: Evolution, evolved: Evolved, sifting: SiftSettings) -> Evolution:
    """The row with what was written, dropped where a filter takes that."""
    made = replace(
        row,
        main=evolved.main,
        further=list(evolved.further),
        refused=list(evolved.refused),
        constraints=list(evolved.constraints),
        prompt=evolved.prompt,
        checks=list(evolved.checks) or None,
        verdict=evolved.verdict,
        dropped=evolved.dropped,
        why=evolved.why,
        prompt_tokens=evolved.prompt_tokens,
        completion_tokens=evolved.completion_tokens,
    )
    if evolved.prompt is None or evolved.dropped:
        return made
    if found := sift(evolved.prompt, sifting):
        return replace(made, dropped=found.cause, why=found.why, near=found.near)
    signed = signature(evolved.prompt)
    return replace(made, signature=list(signed), bands=list(bands(signed)))


async def _select(context: Context[StageSettings], item: Item) -> Rows:
    near = item.pop("near_prompt")
    columns = {name: value for name, value in item.items() if name != "key"}
    checks = columns.pop("checks")
    found = [Check(**check) for check in checks] if checks else None
    row = Evolution(**columns, checks=found)
    if row.dropped is None and near:
        row = replace(row, dropped=NEAR, why="an earlier prompt says nearly the same", near=near)
    row = replace(row, signature=[], bands=[])
    if row.dropped or row.prompt is None:
        return {"evolutions": [row]}
    row = replace(row, prompt_id=prompt_id(row.prompt))
    prompt = Prompt(
        row.prompt_id or "",
        row.prompt or "",
        row.evolution_id,
        row.position,
        found,
        row.split,
        checks_complete=bool(found),  # a writer gives all constraints as checks, or none
    )
    return {"evolutions": [row], "prompts": [prompt]}


def _add_sifting(group: Any) -> None:
    decontamination.add(group, "seeds and prompts")
    group.add_argument(
        "--language",
        default="en",
        metavar="CODE",
        help="the language of seeds and prompts, or `any` (default: en)",
    )
    group.add_argument(
        "--least_words", type=drawing.whole(1), default=3, metavar="N", help="default: 3"
    )
    group.add_argument(
        "--most_words", type=drawing.whole(1), default=500, metavar="N", help="default: 500"
    )


def _check_sifting(options: Namespace) -> None:
    if options.least_words > options.most_words:
        raise UsageError(f"--least_words {options.least_words} is over --most_words")
    decontamination.check(options)


def _add_evolving(group: Any) -> None:
    group.add_argument(
        "--more",
        type=drawing.whole(0),
        default=3,
        metavar="N",
        help="constraints beside the main one, at most; one at least (default: 3)",
    )


def _add_kinds(group: Any) -> None:
    group.add_argument(
        "--kinds",
        type=_kinds,
        metavar="IDS",
        help="the kinds of constraints to draw from, with commas between: "
        f"{', '.join(KINDS)} (default: all whose checker works here)",
    )


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in KINDS]:
        raise ArgumentTypeError(f"no kind {unknown[0]!r}: there are {', '.join(KINDS)}")
    if not names:
        raise ArgumentTypeError("names no kind")
    return names


def _check_kinds(options: Namespace) -> None:
    try:
        working = tuple(name for name, kind in KINDS.items() if can_check(kind.data))
    except NoChecker as error:
        raise UsageError(str(error)) from None
    if lacking := [name for name in options.kinds or () if name not in working]:
        raise UsageError(
            f"--kinds: {lacking[0]} needs data of NLTK: python -m nltk.downloader "
            f"{KINDS[lacking[0]].data}"
        )
    options.kinds = options.kinds or working


SIFTING = Options("what is left out", _add_sifting, _check_sifting)
EVOLVING = Options("constraints", _add_evolving)
RULES = Options("constraints by rules", _add_kinds, _check_kinds)
WRITING = Options("writing", drawing.WRITE.add)


def sifting(options: Namespace) -> SiftSettings:
    files = tuple(options.decontaminate)
    return SiftSettings(
        options.language,
        options.least_words,
        options.most_words,
        files,
        benchmarks(files).fingerprint if files else None,
    )


def _by_rules(options: Namespace) -> EvolveSettings:
    return EvolveSettings(
        seed=options.seed,
        sift=sifting(options),
        more=options.more,
        kinds=options.kinds,
        wording=wordings.fingerprint(),
    )


def _by_engine(options: Namespace) -> EvolveSettings:
    return EvolveSettings(
        seed=options.seed,
        sift=sifting(options),
        more=options.more,
        write=drawing.WRITE.read(options),
        wording=engine.fingerprint(),
    )


_ITEMS = f"""
    with twins as ({twins_sql("(select seed_id as key, position, signature, bands from seeds)")})
    select seed_id as key, seed, position, split, twin as near
    from seeds left join twins on twins.key = seed_id
    where seed_id in (select seed_id from scope)"""

EVOLVE_BY_RULES = Stage(
    name="evolve",
    noun="seeds",
    items=_ITEMS,
    task=_evolve,
    settings=_by_rules,
    writes=("drafts",),
    options=(SIFTING, EVOLVING, RULES),
    intake=INTAKE,
)

EVOLVE_BY_ENGINE = Stage(
    name="evolve",
    noun="seeds",
    items=_ITEMS,
    task=_evolve,
    settings=_by_engine,
    writes=("drafts",),
    options=(SIFTING, EVOLVING, WRITING),
    roles=("writer",),
    intake=INTAKE,
)


def selecting(*writing: Stage[Any]) -> Stage[StageSettings]:
    """Near duplicates among the prompts go, all others become the run's prompts."""
    kept = (
        "(select evolution_id as key, position, signature, bands from drafts where dropped is null)"
    )
    return Stage(
        name="select",
        noun="evolutions",
        items=f"""
            with twins as ({twins_sql(kept)})
            select evolution_id as key, drafts.* exclude (variant), twin as near_prompt
            from drafts left join twins on twins.key = evolution_id
            where seed_id in (select seed_id from scope)""",
        task=_select,
        settings=lambda options: StageSettings(seed=options.seed),
        writes=("evolutions", "prompts"),
        after=writing,
        intake=INTAKE,
    )
