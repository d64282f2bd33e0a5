"""The items of a stage: its SQL over views of the rows that it reads.

Planning reads them from a run's files; a worker that takes prompts through several stages, and the
test kit, from rows in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from schemas import TABLES
from schemas.prompts import TRAIN
from schemas.views import quoted
from spar_core.stage import PROMPTS, Item, Stage, StageSettings

SCOPE = "scope"
"""The view of the ids of the rows of a stage's intake that are to be done."""

_CHOSEN = "chosen"


def tables_read(stage: Stage[Any]) -> tuple[str, ...]:
    """The tables that a stage's SQL may name: its intake, and what upstream stages write."""
    upstream = (table for each in stage.upstream() for table in each.writes)
    return tuple(dict.fromkeys((stage.intake, *upstream)))


def bound(stage: Stage[Any], settings: StageSettings) -> dict[str, Any]:
    """The settings that a stage's SQL names."""
    values = settings.named()
    return {n: v for n, v in values.items() if "." not in n and f"${n}" in stage.items}


def scope_query(
    connection: duckdb.DuckDBPyConnection,
    stage: Stage[Any],
    split: str,
    chosen: Iterable[str] | None = None,
) -> str:
    """Return the SQL of the view `scope`, over the table of the stage's intake.

    Args:
        split: the split of the prompts to do; a stage that makes training data does `train` only.
        chosen: ids of the rows to do, None for all of the split. A stage that selects over the
            whole run has them all, whatever is chosen.
    """
    key = f"{stage.intake.removesuffix('s')}_id"
    query = f"select {key} from {stage.intake}"
    conditions = []
    if stage.intake == PROMPTS:
        wanted = TRAIN if stage.trains else split
        conditions.append(f"split = {quoted(wanted)}")
    if chosen is not None and not stage.replaces:
        ids = pa.table({key: pa.array(list(chosen), pa.string())})
        connection.register(_CHOSEN, ids)
        conditions.append(f"{key} in (select {key} from {_CHOSEN})")
    return f"{query} where {' and '.join(conditions)}" if conditions else query


def items_of_rows(
    connection: duckdb.DuckDBPyConnection,
    stage: Stage[Any],
    settings: StageSettings,
    rows: Mapping[str, Iterable[Mapping[str, Any]]],
    split: str,
    chosen: Iterable[str] | None = None,
) -> list[Item]:
    """Return the items of a stage that follow from rows in memory.

    Args:
        connection: to any database; views of earlier rows in it are replaced.
        rows: plain rows by table; tables that are not there have none.
        split: the split of the prompts to do. chosen: ids of the rows to do (`scope_query`).
    """
    for name in tables_read(stage):
        table = pa.Table.from_pylist([*rows.get(name, ())], TABLES[name].schema)
        connection.register(name, table)
    scope = scope_query(connection, stage, split, chosen)
    connection.execute(f"create or replace temp view {SCOPE} as {scope}")
    query = connection.sql(stage.items, params=bound(stage, settings) or None)
    found: list[Item] = query.to_arrow_table().to_pylist()
    return found
