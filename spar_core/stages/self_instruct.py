"""Self-instruct: a model writes new prompts, shown seeds and what it wrote before.

A fourth of the seeds, drawn by their ids, comes first: what is written beside them from seeds alone
is what the model has written before when the others' turn comes. So every item has the same
examples whenever it is done, and many are in progress at once.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, replace

from schemas.evolutions import Evolution
from spar_core.dataset import Rows
from spar_core.engine.protocol import Sampling, seed_of
from spar_core.evolution import self_instruct
from spar_core.evolution.self_instruct import SHOWN, WRITTEN
from spar_core.evolution.sifting import SiftSettings
from spar_core.filters.near_duplicates import THRESHOLD, signature, similarity, twins_sql
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages import drawing
from spar_core.stages.evolve import (
    INTAKE,
    NEAR,
    SIFTING,
    WRITING,
    begun,
    drafted,
    selecting,
    sifting,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructSettings(StageSettings):
    """write: how a prompt is drawn. wording: what is said to the model, as a hash."""

    sift: SiftSettings
    write: Sampling
    wording: str = self_instruct.fingerprint()


async def _instruct(context: Context[InstructSettings], item: Item) -> Rows:
    settings, writer = context.settings, context.engines["writer"]
    row = begun(context, item, writer.name, settings.sift)
    if row.dropped:
        return {"drafts": [row]}
    shown = _shown(item)
    draws = seed_of(settings.seed, context.iteration, "instruct", item["key"])
    tasks = [each["text"] for each in shown]
    evolved = await self_instruct.instruct(writer, tasks, settings.write, draws)
    return {"drafts": [_apart(drafted(row, evolved, settings.sift), shown)]}


def _shown(item: Item) -> list[Item]:
    """The seed, others, and last what was written before; of others as many as there is room."""
    written = (item["written"] or [])[:WRITTEN]
    own = {"id": item["key"], "text": item["seed"]}
    return [*[own, *(item["others"] or [])][: SHOWN - len(written)], *written]


def _apart(row: Evolution, shown: list[Item]) -> Evolution:
    """The row, dropped where the prompt says nearly what the model was shown."""
    if row.dropped or row.prompt is None:
        return row
    for each in shown:
        if similarity(row.signature, signature(each["text"])) >= THRESHOLD:
            why = "it says nearly what the model was shown"
            return replace(row, dropped=NEAR, why=why, near=each["id"], signature=[], bands=[])
    return row


def _settings(options: Namespace) -> InstructSettings:
    return InstructSettings(
        seed=options.seed, sift=sifting(options), write=drawing.WRITE.read(options)
    )


_IS_FIRST = "md5_number_lower(seed_id) % 4 = 0"
"""SQL of the seeds that come first."""

_OTHERS = "select seed_id as id, seed as text from seeds"
_NONE = "select null::varchar as id, null::varchar as text where false"
_BEFORE = f"""
    select evolution_id as id, prompt as text from drafts where dropped is null and {_IS_FIRST}"""


def _circle(name: str, texts: str, count: int) -> str:
    """SQL that shows each seed some texts: neighbours in a circle that is drawn by `--seed`.

    Args:
        name: of the list; its query has the columns key and name. texts: a query of id and text.
        count: so many texts, if there are.
    """
    return f"""
        {name}_placed as materialized (
            select id, text, row_number() over (order by md5(id || ':' || $seed)) - 1 as place
            from ({texts})),
        {name}_total as (select count(*) as total from {name}_placed),
        {name}_begin as (
            select seed_id as key,
                   (md5_number_lower(seed_id || ':' || $seed) % total)::bigint as place, total
            from seeds, {name}_total where total > 0),
        {name}_near as (
            select b.key, list({{'id': p.id, 'text': p.text}} order by step) as {name}
            from {name}_begin b join range({count + 1}) steps(step) on step < b.total
            join {name}_placed p on p.place = (b.place + step) % b.total
            where p.id <> b.key group by b.key)"""


def _items(which: str, before: str) -> str:
    twins = twins_sql("(select seed_id as key, position, signature, bands from seeds)")
    return f"""
        with twins as ({twins}),
        {_circle("others", _OTHERS, SHOWN)},
        {_circle("written", before, WRITTEN)}
        select seed_id as key, seed, position, split, twin as near, others, written
        from seeds left join twins on twins.key = seed_id
        left join others_near on others_near.key = seed_id
        left join written_near on written_near.key = seed_id
        where {which} and seed_id in (select seed_id from scope)"""


PROPOSE = Stage(
    name="propose",
    noun="seeds that come first",
    items=_items(_IS_FIRST, _NONE),
    task=_instruct,
    settings=_settings,
    writes=("drafts",),
    options=(SIFTING, WRITING),
    roles=("writer",),
    intake=INTAKE,
)

EVOLVE = replace(
    PROPOSE,
    name="evolve",
    noun="seeds",
    items=_items(f"not ({_IS_FIRST})", _BEFORE),
    after=(PROPOSE,),
)

STAGES = (PROPOSE, EVOLVE, selecting(PROPOSE, EVOLVE))
