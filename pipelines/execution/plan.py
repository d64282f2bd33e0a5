"""Planning: which items of a stage are pending, and in which work files they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.execution import work
from pipelines.execution.work import BUCKET, Work
from schemas import TABLES
from schemas.prompts import TRAIN
from schemas.table import MAIN
from schemas.views import connect, quoted
from spar_core.dataset import Dataset
from spar_core.stage import Stage, StageSettings

_MEMORY = "1GB"
_KEYS = pa.schema([("key", pa.string())])
_PENDING = "from items anti join done using (key)"
_BATCH = 1024


@dataclass(frozen=True)
class Part:
    """A stage's part in a job: what it runs with and whose rows it makes and reads.

    variant: whose rows these are. inputs: by stage whose rows it reads. scope: ids of the
    prompts to do, None for all of the split.
    """

    stage: Stage[Any]
    settings: StageSettings
    variant: str
    inputs: Mapping[str, str]
    scope: Sequence[str] | None
    split: str = TRAIN


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    total: int
    pending: int
    works: list[Work]


def plan(part: Part, dataset: Dataset, plan_name: str) -> Plan:
    """Find the items that are not done and write them to work files, a file a bucket.

    Failures that are to be tried again are taken back, as are items that a selection over the
    whole run no longer gives.

    Args:
        plan_name: names the folder of the work files.
    """
    stage, name = part.stage, part.stage.name
    entries = dataset.entries(name, part.variant)
    dataset.retract([path for path, entry in entries.items() if entry.retry])
    with _items(part, dataset) as connection:
        if stage.replaces:
            _take_back(part, dataset, connection)
        total, pending = _counted(part, dataset, connection)
        if not pending:
            return Plan(total, 0, [])
        buckets = dataset.buckets(name, part.variant, _buckets(total))
        query = (
            f"select *, (md5_number_lower(key) % {buckets})::int as {BUCKET} {_PENDING} "
            f"order by {BUCKET}, key"
        )
        reader = connection.sql(query).to_arrow_reader(_BATCH)
        return Plan(total, pending, work.write(dataset, name, part.variant, plan_name, reader))


def pending(part: Part, dataset: Dataset) -> int:
    """How many items are not done."""
    with _items(part, dataset) as connection:
        return _counted(part, dataset, connection)[1]


def _buckets(items: int) -> int:
    """How many buckets a stage begins with: enough to share out, and not too many small files."""
    return min(256, max(16, min(64, items // 8), items // 64))


@contextmanager
def _items(part: Part, dataset: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the table `items` of a stage."""
    with (
        connect(dataset.run, tuple(TABLES)) as connection,
        tempfile.TemporaryDirectory() as spill,
    ):
        # However many items there are: what does not fit in memory goes to disk.
        connection.execute(f"set memory_limit = '{_MEMORY}'")
        connection.execute(f"set temp_directory = '{spill}'")
        _narrow(connection, part, dataset.iteration)
        values = part.settings.named()
        bound = {n: v for n, v in values.items() if "." not in n and f"${n}" in part.stage.items}
        connection.execute(f"create temp table items as {part.stage.items}", bound)
        yield connection


def _narrow(connection: duckdb.DuckDBPyConnection, part: Part, iteration: int) -> None:
    """Views of the rows that the stage's variant uses, in place of those of the whole run."""
    makers = {
        table: part.inputs.get(stage.name, MAIN)
        for stage in part.stage.upstream()
        for table in stage.writes
    }
    catalog = connection.sql("select current_database()").fetchall()[0][0]
    for table in ("prompts", *makers):
        where = f"iteration = {iteration}"
        if table in makers:
            where += f" and variant = {quoted(makers[table])}"
        query = f'select * exclude (iteration) from "{catalog}".main.{table} where {where}'
        connection.execute(f"create temp view {table} as {query}")
    split = TRAIN if part.stage.trains else part.split
    connection.execute(
        f"create temp table scope as select prompt_id from prompts where split = {quoted(split)}"
    )
    if part.scope is not None and not part.stage.replaces:
        connection.register("chosen", pa.table({"key": list(part.scope)}, _KEYS))
        connection.execute("delete from scope where prompt_id not in (select key from chosen)")


def _take_back(part: Part, dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> None:
    stale = []
    for path, entry in dataset.entries(part.stage.name, part.variant).items():
        connection.register("held", pa.table({"key": list(entry.keys)}, _KEYS))
        if _count(connection, "select count(*) from held anti join items using (key)"):
            stale.append(path)
        connection.unregister("held")
    dataset.retract(stale)


def _counted(
    part: Part, dataset: Dataset, connection: duckdb.DuckDBPyConnection
) -> tuple[int, int]:
    """All items and those pending; registers `done`, the keys that are committed."""
    entries = dataset.entries(part.stage.name, part.variant)
    keys = pa.table({"key": [key for e in entries.values() for key in e.keys]}, _KEYS)
    connection.register("done", keys)
    return _count(connection, "select count(*) from items"), _count(
        connection, f"select count(*) {_PENDING}"
    )


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.sql(query).fetchall()[0][0])
