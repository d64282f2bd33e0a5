"""A run as DuckDB sees it: a view per table over the committed files, and the usual questions.

`iteration` is a column of every view of a table.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

import duckdb
import fsspec
import pyarrow as pa
from fsspec.asyn import AsyncFileSystem

from schemas import TABLES, lineage, manifest
from schemas.manifest import is_local
from schemas.questions import MACROS, VIEWS

MEMORY = "50%"
"""What SQL that others wrote may use of the machine's memory."""

_LOCKS = (
    f"set memory_limit = '{MEMORY}'",
    "set temp_directory = ''",
    "set python_enable_replacements = false",
    "set autoload_known_extensions = false",
    "set autoinstall_known_extensions = false",
    "set allow_community_extensions = false",
    "set allow_persistent_secrets = false",
    "set enable_external_access = false",
    "set lock_configuration = true",
)


MANIFEST_TABLES = {
    "usage": "What a commit says of its use of the engine.",
    "lineage": "Which variant made the rows of a stage that a variant uses.",
}
"""Tables that hold what the manifest says, and what a row of each is."""

_Files = dict[tuple[int, str], list[str]]
"""Paths of a table's files by iteration and form."""


def connect(
    run: str,
    tables: tuple[str, ...] | None = None,
    *,
    made_by: Mapping[str, str] | None = None,
    locked: bool = False,
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with views over a run's committed files.

    Args:
        run: a folder, local or `gs://`, `s3://`, ...
        tables: only these tables and `lineage`, and no questions; None for all.
        made_by: by table the variant whose commits alone it shows.
        locked: for queries that others wrote: whatever a query says, it can read the run's
            committed files and no others, load no extension, change no setting, write no file to
            spill to and use no variable of Python. Statements other than queries can still write
            to the committed files: keep them out (`inspection.sql` does).
    """
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    paths = define(connection, run, tables, made_by)
    if locked:
        lock(connection, paths)
    return connection


def lock(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    """Hold a connection to these files, for queries that others wrote; see `connect`."""
    connection.execute(f"set allowed_paths = {_listed(sorted({*paths, *_literal(paths)}))}")
    for setting in _LOCKS:
        connection.execute(setting)


def define(
    connection: duckdb.DuckDBPyConnection,
    run: str,
    tables: tuple[str, ...] | None = None,
    made_by: Mapping[str, str] | None = None,
) -> list[str]:
    """Create a run's views in the connection's database; see `connect`.

    Returns:
        The paths of the committed files that the views read, absolute.
    """
    fs, root = fsspec.core.url_to_fs(run)
    if not is_local(fs):
        connection.register_filesystem(for_duckdb(fs))
    files: dict[str, _Files] = {name: {} for name in TABLES}
    entries = manifest.read(fs, root)
    for path, entry in entries.items():
        for name, file in entry.files.items():
            if made_by and made_by.get(name, entry.variant) != entry.variant:
                continue
            files[name].setdefault((manifest.iteration_of(path), file.form), []).append(
                fs.unstrip_protocol(f"{root}/{file.path}").removeprefix("file://")
            )
    for name in tables or TABLES:
        _create_view(connection, name, files[name])
    _create_table(connection, "lineage", _lineage(lineage.read(fs, root, entries)))
    if tables is None:
        _create_questions(connection, entries)
    return [path for some in files.values() for paths in some.values() for path in paths]


def _create_questions(
    connection: duckdb.DuckDBPyConnection, entries: dict[str, manifest.Entry]
) -> None:
    _create_table(connection, "usage", _usage(entries))
    for name, view in VIEWS.items():
        connection.execute(f"create view {name} as {view.sql}")
    for name, macro in MACROS.items():
        connection.execute(f"create macro {name}({macro.parameters}) as table {macro.sql}")
    rows = [
        *((name, "table", _first_line(table.row.__doc__)) for name, table in TABLES.items()),
        *((name, "table", what) for name, what in MANIFEST_TABLES.items()),
        ("contents", "view", "this list"),
        *((name, "view", view.asks) for name, view in VIEWS.items()),
        *((f"{name}({m.parameters})", "macro", m.asks) for name, m in MACROS.items()),
    ]
    values = ", ".join(f"({', '.join(map(quoted, row))})" for row in rows)
    connection.execute(f"create view contents as from (values {values}) _ (name, kind, what)")


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    connection.register("_rows", rows)
    connection.execute(f"create table {name} as select * from _rows")
    connection.unregister("_rows")


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def for_duckdb(fs: fsspec.AbstractFileSystem) -> fsspec.AbstractFileSystem:
    """The file system to register for files of it.

    DuckDB reads pieces here and there and leaves files to be collected: a cache that reads ahead in
    tasks of its own, as gcsfs has it, then reads in vain and complains of tasks that were dropped.
    """
    if not isinstance(fs, AsyncFileSystem):
        return fs
    own = type(fs)(**{**fs.storage_options, "skip_instance_cache": True})
    own.open = partial(own.open, cache_type="readahead")
    return own


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, files: _Files) -> None:
    """A view over files, some of which may be of earlier times and lack a column.

    Files of one form are read by the first one's columns: opening all to compare takes seconds.
    """
    parts = [_no_rows(connection, name)] + [
        f"select *, {iteration} as iteration from read_parquet("
        f"{files_listed(some)}, hive_partitioning = false)"
        for (iteration, _), some in sorted(files.items())
    ]
    reads = ", ".join(f"{sql} as {column}" for column, sql in TABLES[name].reads.items())
    shown = f"* replace ({reads})" if reads else "*"
    connection.execute(
        f"create view {name} as select {shown} from ({' union all by name '.join(parts)})"
    )


def _no_rows(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """A query that gives the table's columns and nothing else."""
    schema = TABLES[name].schema.append(pa.field("iteration", pa.int32()))
    connection.register("_none", schema.empty_table())
    columns = connection.execute("describe _none").fetchall()
    connection.unregister("_none")
    nulls = ", ".join(f'null::{column[1]} as "{column[0]}"' for column in columns)
    return f"select {nulls} where false"


def _usage(entries: dict[str, manifest.Entry]) -> pa.Table:
    """What the commits say of their use of the engine: a row each."""
    schema = pa.schema(
        [("iteration", pa.int32()), ("stage", pa.string()), ("variant", pa.string())]
        + [(name, pa.float64()) for name in manifest.USAGE]
    )
    rows = [
        {
            "iteration": manifest.iteration_of(path),
            "stage": entry.stage,
            "variant": entry.variant,
            **entry.usage,
        }
        for path, entry in entries.items()
        if entry.usage
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _lineage(links: list[lineage.Link]) -> pa.Table:
    names = ("variant", "stage", "made_by")
    schema = pa.schema([("iteration", pa.int32()), *((name, pa.string()) for name in names)])
    return pa.Table.from_pylist([asdict(link) for link in links], schema=schema)


def _literal(paths: list[str]) -> list[str]:
    """Local paths written so that DuckDB takes no character in them for a pattern."""
    return [path if "://" in path else glob.escape(path) for path in paths]


def files_listed(paths: list[str]) -> str:
    """Files as a list in SQL, for DuckDB's readers."""
    return _listed(_literal(paths))


def _listed(paths: list[str]) -> str:
    """Paths as a list in SQL."""
    return f"[{', '.join(map(quoted, paths))}]"


def quoted(text: str) -> str:
    """A text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"
