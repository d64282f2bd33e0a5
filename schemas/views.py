"""A run as DuckDB sees it: a view per table over the committed files, and the usual questions.

`iteration` is a column of every view of a table.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from schemas import TABLES, lineage, manifest, run_folder
from schemas.entries import USAGE, Entry
from schemas.manifest import is_local
from schemas.questions import MACROS, VIEWS, Question
from schemas.table import Kind, arrow_schema

if TYPE_CHECKING:
    import duckdb
    import fsspec
    import pyarrow as pa

MEMORY = "50%"
"""What SQL that others wrote may use of the machine's memory."""

SMALL_ROWS = 256
"""Rows of a file that is read whole from an object store."""

_LOCKS = (
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
    made_by: Mapping[str, Mapping[str, str]] | None = None,
    entries: Mapping[str, Entry] | None = None,
    locked: bool = False,
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with views over a run's committed files.

    Args:
        run: a folder, local or `gs://`, `s3://`, ...
        tables: only these tables, views and macros, what they read, and `lineage`; None for all.
        made_by: by table the stages whose commits alone it shows, each with its variant.
        entries: of the manifest, by path, where they are read already: the views show what these
            commit, and there is no `lineage`.
        locked: for queries that others wrote: whatever a query says, it can read the run's
            committed files and no others, load no extension, change no setting, write no file to
            spill to and use no variable of Python. Statements other than queries can still write
            to the committed files: keep them out (`inspection.sql` does).
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    paths = define(connection, run, tables, made_by, entries)
    if locked:
        lock(connection, paths)
    return connection


def lock(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    """Hold a connection to these files, for queries that others wrote; see `connect`."""
    connection.execute(f"set allowed_paths = {_listed(sorted({*paths, *_literal(paths)}))}")
    for setting in (f"set memory_limit = '{MEMORY}'", *_LOCKS):
        connection.execute(setting)


def define(
    connection: duckdb.DuckDBPyConnection,
    run: str,
    tables: tuple[str, ...] | None = None,
    made_by: Mapping[str, Mapping[str, str]] | None = None,
    entries: Mapping[str, Entry] | None = None,
) -> list[str]:
    """Create a run's views in the connection's database; see `connect`.

    Returns:
        The paths of the committed files that the views read, absolute.
    """
    fs, root = run_folder.opened(run)
    files: dict[str, _Files] = {name: {} for name in TABLES}
    small: list[str] = []
    committed = manifest.read(fs, root) if entries is None else entries
    for path, entry in committed.items():
        for name, file in entry.files.items():
            makers = made_by.get(name) if made_by else None
            if makers is not None and makers.get(entry.stage) != entry.variant:
                continue
            at = fs.unstrip_protocol(f"{root}/{file.path}").removeprefix("file://")
            files[name].setdefault((manifest.iteration_of(path), file.form), []).append(at)
            if file.rows <= SMALL_ROWS:
                small.append(at)
    if not is_local(fs):
        connection.register_filesystem(for_duckdb(fs, small))
    wanted = _with_sources(tables) if tables is not None else None
    for name in TABLES:
        if wanted is None or name in wanted:
            _create_view(connection, name, files[name])
    if entries is None:
        _create_table(connection, "lineage", _lineage(lineage.read(fs, root, committed)))
    if wanted is None or "usage" in wanted:
        _create_table(connection, "usage", _usage(committed))
    for name, question in _QUESTIONS.items():
        if wanted is None or name in wanted:
            _create_question(connection, name, question)
    if wanted is None:
        _create_contents(connection)
    return [path for some in files.values() for paths in some.values() for path in paths]


def named_in(sql: str) -> tuple[str, ...]:
    """The tables, views and macros whose names stand in a query."""
    return tuple(sorted(_NAMES & {*_WORD.findall(sql)}))


_WORD = re.compile(r"\w+")
_QUESTIONS = {**VIEWS, **MACROS}
_NAMES = {*TABLES, *MANIFEST_TABLES, *_QUESTIONS}


def _with_sources(names: Iterable[str]) -> set[str]:
    """Names of tables and views, and of those that the views read."""
    found: set[str] = set()
    new = {*names}
    while new:
        found |= new
        new = {
            source
            for name in new & _QUESTIONS.keys()
            for source in named_in(_QUESTIONS[name].sql)
            if source not in found
        }
    return found


def _create_question(connection: duckdb.DuckDBPyConnection, name: str, question: Question) -> None:
    if name in MACROS:
        connection.execute(f"create macro {name}({question.parameters}) as table {question.sql}")
    else:
        connection.execute(f"create view {name} as {question.sql}")


def _create_contents(connection: duckdb.DuckDBPyConnection) -> None:
    """The view that lists all tables, views and macros."""
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


def for_duckdb(
    fs: fsspec.AbstractFileSystem, small: Sequence[str] = ()
) -> fsspec.AbstractFileSystem:
    """The file system to register for committed files of it.

    Args:
        small: paths of the files that are read whole; see `CommittedFiles`.
    """
    from schemas.small_files import CommittedFiles

    return fs if is_local(fs) else CommittedFiles(fs, small)


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, files: _Files) -> None:
    """A view over files, some of which may be of earlier times and lack a column.

    Files of one form are read by the first one's columns: opening all to compare takes seconds.
    """
    parts = [_no_rows(name)] + [
        f"select *, {iteration} as iteration from read_parquet("
        f"{files_listed(some)}, hive_partitioning = false)"
        for (iteration, _), some in sorted(files.items())
    ]
    reads = ", ".join(f"{sql} as {column}" for column, sql in TABLES[name].reads.items())
    shown = f"* replace ({reads})" if reads else "*"
    connection.execute(
        f"create view {name} as select {shown} from ({' union all by name '.join(parts)})"
    )


@cache
def _no_rows(name: str) -> str:
    """A query that gives the table's columns and nothing else."""
    columns: dict[str, Kind] = {**TABLES[name].columns, "iteration": "int32"}
    nulls = ", ".join(f'null::{_sql_type(kind)} as "{column}"' for column, kind in columns.items())
    return f"select {nulls} where false"


_SQL_TYPES = {
    "string": "varchar",
    "bool": "boolean",
    "int32": "integer",
    "int64": "bigint",
    "double": "double",
}


def _sql_type(kind: Kind) -> str:
    """A column's type in DuckDB's SQL."""
    if isinstance(kind, str):
        return _SQL_TYPES[kind]
    if isinstance(kind, Mapping):
        fields = ", ".join(f'"{name}" {_sql_type(each)}' for name, each in kind.items())
        return f"struct({fields})"
    return f"{_sql_type(kind[0])}[]"


def _usage(entries: Mapping[str, Entry]) -> pa.Table:
    """What the commits say of their use of the engine: a row each."""
    columns: dict[str, Kind] = {"iteration": "int32", "stage": "string", "variant": "string"}
    columns |= dict.fromkeys(USAGE, "double")
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
    return _arrow_table(columns, rows)


def _lineage(links: list[lineage.Link]) -> pa.Table:
    columns = {"iteration": "int32", **dict.fromkeys(("variant", "stage", "made_by"), "string")}
    return _arrow_table(columns, [asdict(link) for link in links])


def _arrow_table(columns: Mapping[str, Kind], rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=arrow_schema(columns))


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
