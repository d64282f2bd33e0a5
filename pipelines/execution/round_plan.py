"""Planning for several stages at once: which prompts are pending in any, and what there is of them.

A prompt's items lie in a bucket that follows from the prompt, in every stage, so that a worker that
takes it through all of them commits to few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from pipelines.execution import work
from pipelines.execution.following import BUCKETS, DONE
from pipelines.execution.plan import (
    Part,
    Plan,
    buckets_for,
    keys_of,
    makers,
    of_part,
    reading,
    want,
)
from pipelines.execution.work import BUCKET
from schemas.entries import Entry
from spar_core.dataset import Dataset
from spar_core.stage import PROMPTS

ROUND = "round"
"""Names the work files, beside those of the stages."""

_BATCH = 64


@dataclass(frozen=True, slots=True)
class _State:
    """Of a stage the prompts with items that are pending, and the keys of those that are done."""

    prompts: int
    pending: pa.Table
    done: pa.Table


def plan_round(parts: Sequence[Part], dataset: Dataset, plan_name: str) -> Plan:
    """Find the prompts that are not through all stages and write them to work files.

    Failures that are to be tried again are taken back.

    Args:
        parts: of one variant, each after those that it follows from; the first has an item for
            every prompt.
    """
    entries = dataset.entries()
    stale = {
        path: entry
        for part in parts
        for path, entry in of_part(part, entries).items()
        if entry.retry
    }
    dataset.retract(sorted(stale))
    entries = {path: entry for path, entry in entries.items() if path not in stale}
    with _reading(parts, dataset, entries) as connection:
        states = [_state(part, connection, entries) for part in parts]
        total, pending = states[0].prompts, pending_of(states)
        if not pending:
            return Plan(total, 0, [])
        wanted = buckets_for(total)
        fixed = [dataset.buckets(part.stage.name, part.variant, wanted) for part in parts]
        query = _query(connection, states, fixed, list(_makers(parts)))
        reader = connection.sql(query).to_arrow_reader(_BATCH)
        works = work.write(dataset, ROUND, parts[0].variant, plan_name, reader)
    return Plan(total, pending, works)


def pending(parts: Sequence[Part], dataset: Dataset) -> int:
    """How many prompts are not through all stages."""
    entries = dataset.entries()
    with _reading(parts, dataset, entries) as connection:
        return pending_of([_state(part, connection, entries) for part in parts])


def _reading(
    parts: Sequence[Part], dataset: Dataset, entries: Mapping[str, Entry]
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """A connection to the rows that the parts read, all of them of one variant."""
    return reading(parts[0], dataset, _makers(parts), entries)


def _makers(parts: Sequence[Part]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        for table, stages in makers(part).items():
            found.setdefault(table, {}).update(stages)
    return found


def pending_of(states: Sequence[_State]) -> int:
    return len({key for state in states for key in state.pending["prompt_id"].to_pylist()})


def _state(
    part: Part, connection: duckdb.DuckDBPyConnection, entries: Mapping[str, Entry]
) -> _State:
    want(part, connection, "key, prompt_id")
    connection.register("done", keys_of(of_part(part, entries).values()))
    [(prompts,)] = connection.sql("select count(distinct prompt_id) from wanted").fetchall()
    return _State(
        prompts,
        connection.sql(
            "select distinct prompt_id from wanted anti join done using (key)"
        ).to_arrow_table(),
        connection.sql(
            "select prompt_id, list(key) as keys from wanted semi join done using (key) "
            "group by prompt_id"
        ).to_arrow_table(),
    )


def _query(
    connection: duckdb.DuckDBPyConnection,
    states: Sequence[_State],
    fixed: Sequence[int],
    tables: Sequence[str],
) -> str:
    """The rows of the work files: a prompt, and as lists what there is of it in each table."""
    for number, state in enumerate(states):
        connection.register(f"pending_{number}", state.pending)
        connection.register(f"done_{number}", state.done)
    numbers = range(len(states))
    of_any = " union ".join(f"select prompt_id from pending_{n}" for n in numbers)
    connection.execute(f"create temp table pending as {of_any}")
    done = ", ".join(f"coalesce(d{n}.keys, []::varchar[])" for n in numbers)
    place = "md5_number_lower(p.prompt_id) %"
    numbered = ", ".join(f"({place} {each})::int" for each in fixed)
    columns = "".join(f", of_{table}.rows as {table}" for table in tables)
    joins = "".join(f" left join done_{n} d{n} using (prompt_id)" for n in numbers)
    joins += "".join(
        f" left join (select prompt_id, list(t) as rows from {table} t "
        f"semi join pending using (prompt_id) group by prompt_id) of_{table} using (prompt_id)"
        for table in tables
    )
    return (
        f"select p.prompt_id as key, [p] as {PROMPTS}{columns}, [{done}] as {DONE}, "
        f"[{numbered}] as {BUCKETS}, ({place} {fixed[0]})::int as {BUCKET} "
        f"from (select * exclude (extra) from {PROMPTS}) p "
        f"semi join pending using (prompt_id){joins} order by {BUCKET}, key"
    )
