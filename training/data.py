"""Rows to train on: of a run or of files, chosen by SQL."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import TABLES, manifest
from schemas.selection import COLUMNS, Choice, Kinds
from schemas.views import connect
from terminal.text import reason
from training.files import NoFiles, open_files, query_of

if TYPE_CHECKING:
    import duckdb

Row = dict[str, object]

_ORDER = ("iteration", "pair_id", "rft_id", "sft_id", "variant")

_ANY = Choice()


class DataError(Exception):
    """The data cannot be read, or has not the form that the job needs."""


class NothingLeft(Exception):
    """No row is left to train on."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows that a condition and a choice left of a table.

    source: what was read. before: its rows without either. rows: the columns asked for.
    kinds: how many of the rows are of which method and variant. fingerprint: of the rows'
    content and order. reasoned: how many of the rows have `reasoning`; None where the rows are
    without that column, since nobody asked for it.
    """

    source: str
    before: int
    rows: list[Row]
    kinds: Kinds
    fingerprint: str
    reasoned: int | None = None


def is_run(data: str) -> bool:
    """Whether this is a run's folder (and not files)."""
    import fsspec

    fs, root = fsspec.core.url_to_fs(data)
    return bool(fs.isdir(f"{root}/{manifest.FOLDER}"))


def select(
    data: str,
    table: str,
    wanted: Sequence[Sequence[str]],
    where: str = "true",
    choice: Choice = _ANY,
    *,
    is_lenient: bool = False,
    made_by: str = "",
    reasoning: Sequence[str] = (),
) -> Selection:
    """Rows of a run's table, or of files, for which a condition holds, of one kind or as chosen.

    Args:
        data: a run, or a path, glob or URL of Parquet, JSONL, JSON, CSV or TSV files.
        table: the table of a run that is meant.
        wanted: sets of columns that will do; the first that is there is read.
        where: an SQL condition over any column.
        choice: the methods and variants that are meant.
        is_lenient: whether rows without the columns of the choice are taken as they are.
        made_by: the job that writes the table, where a run need not have it.
        reasoning: columns of the reasoning before an answer, of which the first that is there is
            read, as `reasoning`; empty where it is not asked for, and then no row has it.

    Raises:
        DataError: with what is missing and what would mend it.
        NothingLeft: that job has not written any.
        SelectionError: the rows left are of several methods or variants, or of none chosen.
    """
    import duckdb

    try:
        held = is_run(data)
    except Exception as error:  # file systems raise what their own libraries do
        raise DataError(f"cannot read {data}: {reason(error)}") from None
    try:
        connection = (
            _open_run(data, table, made_by)
            if held
            else _open_files(data, table, [*wanted, reasoning])
        )
        with connection:
            if is_lenient:
                choice = choice.within(connection.sql("from data").columns)
            return _select(connection, data, wanted, where, choice, reasoning)
    except duckdb.Error as error:
        raise DataError(" ".join(str(error).partition("\n\n")[0].split())) from None
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"cannot read {data}: {reason(error)}") from None


def _open_run(run: str, table: str, made_by: str) -> duckdb.DuckDBPyConnection:
    connection = connect(run, (table,), locked=True)
    connection.execute(f"create temp view data as select * from {table}")
    if made_by and not connection.sql("from data limit 1").fetchall():
        raise NothingLeft(
            f"the run {run} has no rows in {table}: python -m {made_by} --run {shlex.quote(run)} "
            "makes them"
        )
    return connection


def _open_files(
    data: str, table: str, wanted: Sequence[Sequence[str]]
) -> duckdb.DuckDBPyConnection:
    try:
        connection, reader, files = open_files(data)
    except NoFiles as error:
        raise DataError(str(error)) from None
    columns = [*COLUMNS, *(name for some in wanted for name in some)]
    query = query_of(connection, reader, files, columns)
    connection.execute(f"create temp view data as {_as_of_a_run(connection, query, table)}")
    return connection


def _as_of_a_run(connection: duckdb.DuckDBPyConnection, query: str, table: str) -> str:
    """Files' methods and variants read as those of a run's table: early exports too."""
    there = [name for name in COLUMNS if name in connection.sql(query).columns]
    if not there:
        return query
    reads = TABLES[table].reads
    texts = ", ".join(f"{name}::varchar as {name}" for name in there)
    meant = ", ".join(f"{reads.get(name, name)} as {name}" for name in there)
    return f"select * replace ({meant}) from (select * replace ({texts}) from ({query}))"


def _select(
    connection: duckdb.DuckDBPyConnection,
    data: str,
    wanted: Sequence[Sequence[str]],
    where: str,
    choice: Choice,
    reasoning: Sequence[str],
) -> Selection:
    import duckdb

    there = connection.sql("from data").columns
    columns = next((some for some in wanted if set(some) <= set(there)), None)
    if columns is None:
        forms = ", or ".join(" and ".join(f"`{name}`" for name in some) for some in wanted)
        raise DataError(f"{data} needs the columns {forms} (it has {', '.join(there)})")
    thought = _reasoning_column(data, there, reasoning)
    query = f"select * from data where (\n{where}\n)"
    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise DataError(f"--where takes one condition, not {where!r}")
    before, what = Kinds.of(connection.sql("from data")), f"rows of {data}"
    choice.check_named(before, what)
    chosen = choice.of(connection.sql(query))
    if order := ", ".join(name for name in _ORDER if name in there):
        chosen = chosen.order(order)
    # Once, whatever the condition says: it may be `random() < 0.1`.
    read = dict.fromkeys([*columns, *thought, *before.columns])
    rows = _rows(chosen.project(", ".join(read)))
    kinds = Kinds.count(before.columns, rows)
    choice.check_one(kinds, what)
    reasonings = [row[name] for row in rows for name in thought]
    rows = [{name: row[name] for name in columns} for row in rows]
    for name in columns:
        if missing := sum(row[name] is None for row in rows):
            raise DataError(
                f"{missing} of {len(rows)} rows of {data} have no `{name}`: leave them out with "
                f'--where "{name} is not null"'
            )
    reasoned = _add_reasoning(data, rows, reasonings) if thought else None
    return Selection(data, before.total, rows, kinds, _fingerprint(rows), reasoned)


def _reasoning_column(data: str, there: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the column of reasoning to read in a list; an empty one where none is asked for."""
    found = [name for name in names if name in there][:1]
    if names and not found:
        listed = " or ".join(f"`{name}`" for name in names)
        raise DataError(
            f"--with_reasoning needs a column {listed}, which {data} does not have (it has "
            f"{', '.join(there)}): leave the option out to train on the answers alone"
        )
    return found


def _add_reasoning(data: str, rows: Sequence[Row], reasonings: Sequence[object]) -> int:
    """Give rows their reasoning, where they have any; return how many have."""
    number = 0
    for row, reasoning in zip(rows, reasonings, strict=True):
        if reasoning is not None and not isinstance(reasoning, str):
            raise DataError(f"reasoning is text, which {repr(reasoning)[:80]} in {data} is not")
        if reasoning and reasoning.strip():
            row["reasoning"] = reasoning.strip()
            number += 1
    if rows and not number:
        raise DataError(
            f"--with_reasoning: none of the {len(rows)} rows of {data} has any reasoning (the "
            "model did not think, its server hides it, or the rows were made before it was kept): "
            "leave the option out to train on the answers alone"
        )
    return number


def _rows(relation: duckdb.DuckDBPyRelation) -> list[Row]:
    """Plain rows; where a file mixes texts and messages, DuckDB reads them as JSON."""
    columns = zip(relation.columns, relation.types, strict=True)
    mixed = [name for name, kind in columns if str(kind) == "JSON"]
    rows: list[Row] = relation.to_arrow_table().to_pylist()
    for row in rows:
        row |= {name: _of_json(str(row[name])) for name in mixed if row[name] is not None}
    return rows


def _of_json(text: str) -> object:
    """Return a JSON value; a number or a boolean as text, which the column is declared to be."""
    value = json.loads(text)
    return text if isinstance(value, (bool, int, float)) else value


def _fingerprint(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]
