"""Planning: which items of a stage are pending, and in which work files they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.execution import work
from pipelines.execution.work import BUCKET, Work
from schemas.entries import Entry, StoredKeys
from schemas.prompts import TRAIN
from schemas.table import MAIN
from schemas.views import connect
from spar_core.dataset import Dataset
from spar_core.stage import PROMPTS, Stage, StageSettings
from spar_core.stage_items import SCOPE, bound, scope_query

_MEMORY = "1GB"
_KEYS = pa.schema([("key", pa.string())])
_PENDING = "from wanted anti join done using (key)"
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
    """What is to be done.

    total, pending: items, or prompts of a round. committed: the keys of a stage that are
    committed already; of a round nobody asks.
    """

    total: int
    pending: int
    works: list[Work]
    committed: int = 0


def plan(part: Part, dataset: Dataset, plan_name: str) -> Plan:
    """Find the items that are not done and write them to work files, a file a bucket.

    Failures that are to be tried again are taken back, as are items that a selection over the
    whole run no longer gives.

    Args:
        plan_name: names the folder of the work files.
    """
    stage, name = part.stage, part.stage.name
    entries = dataset.entries()
    own = of_part(part, entries)
    with reading(part, dataset, makers(part), entries) as connection:
        want(part, connection)
        stale = {path for path, entry in own.items() if entry.retry}
        if stage.replaces:
            stale |= _gone(own, connection)
        dataset.retract(sorted(stale))
        held = [entry for path, entry in own.items() if path not in stale]
        total, pending = _counted(held, connection)
        if not pending:
            return Plan(total, 0, [])
        buckets = dataset.buckets(name, part.variant, buckets_for(total))
        # With others of the same prompt, as where a worker takes prompts through several stages.
        is_of_prompt = "prompt_id" in connection.table("wanted").columns
        by = "prompt_id" if is_of_prompt and stage.intake == PROMPTS else "key"
        query = (
            f"select *, (md5_number_lower({by}) % {buckets})::int as {BUCKET} {_PENDING} "
            f"order by {BUCKET}, key"
        )
        reader = connection.sql(query).to_arrow_reader(_BATCH)
        works = work.write(dataset, name, part.variant, plan_name, reader)
        return Plan(total, pending, works, sum(len(entry.keys) for entry in held))


def committed(part: Part, dataset: Dataset) -> int:
    """How many keys of a stage are committed."""
    entries = dataset.entries(part.stage.name, part.variant)
    return sum(len(entry.keys) for entry in entries.values())


def pending(part: Part, dataset: Dataset) -> int:
    """How many items are not done."""
    entries = dataset.entries()
    with reading(part, dataset, makers(part), entries) as connection:
        want(part, connection, "key")
        return _counted(of_part(part, entries).values(), connection)[1]


def buckets_for(items: int) -> int:
    """How many buckets a stage begins with: enough to share out, and not too many small files.

    Of many items at most 512 lie in one, so that no engine of many is waited for long in the end
    (docs/fleet.md).
    """
    few = min(256, max(16, min(64, items // 8), items // 64))
    return max(few, min(2048, items // 512))


@contextmanager
def items(part: Part, dataset: Dataset, columns: str = "*") -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the table `wanted`: a stage's items, or some of their columns."""
    with reading(part, dataset, makers(part), dataset.entries()) as connection:
        want(part, connection, columns)
        yield connection


def want(part: Part, connection: duckdb.DuckDBPyConnection, columns: str = "*") -> None:
    """Create the table `wanted`: a stage's items, or some of their columns.

    Where little memory does not suffice for so many, they are asked for once more with much.

    Args:
        connection: from `reading`.
    """
    _create_scope(part, connection)
    making = f"create or replace temp table wanted as select {columns} from ({part.stage.items})"
    try:
        connection.execute(making, bound(part.stage, part.settings))
    except duckdb.OutOfMemoryException:
        connection.execute("reset memory_limit")
        connection.execute(making, bound(part.stage, part.settings))


@contextmanager
def reading(
    part: Part,
    dataset: Dataset,
    read: Mapping[str, Mapping[str, str]],
    entries: Mapping[str, Entry],
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the rows that a part reads, which is held to little memory.

    Args:
        read: the variants of the tables whose rows these are, by table and stage.
        entries: of the iteration.
    """
    tables = (part.stage.intake, *read)
    with (
        connect(dataset.run, tables, made_by=read, entries=entries) as connection,
        tempfile.TemporaryDirectory() as spill,
    ):
        connection.execute(f"set memory_limit = '{_MEMORY}'")
        connection.execute(f"set temp_directory = '{spill}'")
        # It hashes a text after a join instead of before, and takes the text through the join.
        connection.execute("set disabled_optimizers = 'projection_pullup'")
        _narrow(connection, tables)
        yield connection


def of_part(part: Part, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """What an iteration's entries hold of a part."""
    place = part.stage.name, part.variant
    return {path: e for path, e in entries.items() if (e.stage, e.variant) == place}


def makers(part: Part) -> dict[str, dict[str, str]]:
    """The variants whose rows of tables the stage reads, by table and the stage that wrote them."""
    found: dict[str, dict[str, str]] = {}
    for stage in part.stage.upstream():
        for table in stage.writes:
            found.setdefault(table, {})[stage.name] = part.inputs.get(stage.name, MAIN)
    return found


def _narrow(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> None:
    """Views without the column `iteration`, in place of those of the run."""
    catalog = connection.sql("select current_database()").fetchall()[0][0]
    for table in dict.fromkeys(tables):
        query = f'select * exclude (iteration) from "{catalog}".main.{table}'
        connection.execute(f"create temp view {table} as {query}")


def _create_scope(part: Part, connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table `scope`: the ids of the prompts, or of other rows, that are to be done."""
    scope = scope_query(connection, part.stage, part.split, part.scope)
    connection.execute(f"create or replace temp table {SCOPE} as {scope}")


def _gone(entries: Mapping[str, Entry], connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Paths of the entries that hold an item which is no longer given."""
    gone = set()
    for path, entry in entries.items():
        connection.register("held", pa.table({"key": list(entry.keys)}, _KEYS))
        if _count(connection, "select count(*) from held anti join wanted using (key)"):
            gone.add(path)
        connection.unregister("held")
    return gone


def keys_of(entries: Iterable[Entry]) -> pa.Table:
    """The keys that some entries commit, as the column `key`."""
    some = list(entries)
    plain = [k for entry in some if not isinstance(entry.keys, StoredKeys) for k in entry.keys]
    stored = [entry.keys.table() for entry in some if isinstance(entry.keys, StoredKeys)]
    return pa.concat_tables([pa.table({"key": plain}, _KEYS), *(t.select(["key"]) for t in stored)])


def _counted(entries: Iterable[Entry], connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """All items and those pending; registers `done`, the keys that are committed."""
    connection.register("done", keys_of(entries))
    return _count(connection, "select count(*) from wanted"), _count(
        connection, f"select count(*) {_PENDING}"
    )


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.sql(query).fetchall()[0][0])
