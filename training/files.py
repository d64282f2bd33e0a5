"""Files of training data as a DuckDB view, whose trained columns are what trainings declare.

DuckDB infers types from values: a column of dates, UUIDs, numbers or booleans is none of text, and
a later value of another kind ends the read. Columns that are trained on are declared instead, as
texts or chats; all other columns keep the inferred types that `--where` compares.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from schemas.manifest import is_local
from schemas.views import files_listed, for_duckdb, lock, quoted

if TYPE_CHECKING:
    import duckdb
    from duckdb.sqltypes import DuckDBPyType

_READERS = {
    "parquet": "read_parquet",
    "jsonl": "read_json",
    "ndjson": "read_json",
    "json": "read_json",
    "csv": "read_csv",
    "tsv": "read_csv",
}
_COMPRESSED = re.compile(r"\.(gz|zst)$")
_CSV = "header = true, quote = '\"', escape = '\"', union_by_name = true, hive_partitioning = false"
"""Quotes are not left to DuckDB, which takes them for text if its sample has none."""

_TURN = ("role", "content")
"""The fields of a message, both texts."""


class NoFiles(Exception):
    """No file is there, or the files are not of one kind that DuckDB reads."""


def open_files(data: str) -> tuple[duckdb.DuckDBPyConnection, str, list[str]]:
    """Open a locked DuckDB connection for files.

    Args:
        data: a path, glob or URL of Parquet, JSONL, JSON, CSV or TSV files, gzipped or zstd.

    Returns:
        The connection, the name of DuckDB's reader for the files, and the files.

    Raises:
        NoFiles: there is no file, or they are not of one kind.
    """
    import duckdb
    import fsspec

    fs, path = fsspec.core.url_to_fs(data)
    names = [path] if fs.isfile(path) else sorted(p for p in fs.glob(path) if fs.isfile(p))
    if not names:
        raise NoFiles(f"no run and no file at {data}")
    endings = {_COMPRESSED.sub("", name).rpartition(".")[2] for name in names}
    readers = {_READERS.get(ending, "") for ending in endings}
    if len(readers) > 1 or "" in readers:
        kinds = ", ".join(sorted(f".{ending}" for ending in endings))
        raise NoFiles(f"{data} is {kinds}: give Parquet, JSONL or CSV files, of one kind")
    files = [name if is_local(fs) else fs.unstrip_protocol(name) for name in names]
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    if not is_local(fs):
        connection.register_filesystem(for_duckdb(fs))
    lock(connection, files)
    return connection, readers.pop(), files


def query_of(
    connection: duckdb.DuckDBPyConnection, reader: str, files: Sequence[str], columns: Sequence[str]
) -> str:
    """Return the SQL query that reads files, some of whose columns are texts or chats.

    Args:
        reader: the name of DuckDB's table function for the files.
        columns: the columns that are declared instead of inferred; those not in the files are
            passed over.
    """
    listed = files_listed([*files])
    if reader == "read_parquet":
        return f"from read_parquet({listed}, union_by_name = true, hive_partitioning = false)"
    if reader == "read_csv":
        return _csv_query(connection, listed, columns)
    return _json_query(connection, listed, len(files), columns)


def _csv_query(connection: duckdb.DuckDBPyConnection, listed: str, columns: Sequence[str]) -> str:
    """The query of CSV files, whose declared columns are texts."""
    there = connection.sql(f"from read_csv({listed}, {_CSV})").columns
    types = {name: "VARCHAR" for name in there if name in columns}
    declared = f", types = {_struct(types)}" if types else ""
    return f"from read_csv({listed}, {_CSV}{declared})"


def _json_query(
    connection: duckdb.DuckDBPyConnection, listed: str, files: int, columns: Sequence[str]
) -> str:
    """The query of JSON files; all rows of all files are looked at for the types, once."""
    sniffed = connection.sql(
        f"from read_json({listed}, sample_size = -1, maximum_sample_files = {files})"
    )
    types = {
        name: _declared(kind) if name in columns else str(kind)
        for name, kind in zip(sniffed.columns, sniffed.types, strict=True)
    }
    return f"from read_json({listed}, columns = {_struct(types)})"


def _declared(kind: DuckDBPyType) -> str:
    """Return the type of a column of texts or chats, in SQL, by the inferred one.

    Values of several kinds stay JSON, wherever in the type they are.
    """
    if re.search(r"\bJSON\b", str(kind)):
        return "JSON"
    item = cast("DuckDBPyType", kind.children[0][1]) if kind.id == "list" else kind
    if kind.id == "list" and item.id == "struct":
        fields = ", ".join(
            f'"{name.replace(chr(34), chr(34) * 2)}" {"VARCHAR" if name in _TURN else each}'
            for name, each in item.children
        )
        return f"STRUCT({fields})[]"
    return str(kind) if kind.id in ("list", "struct", "map") else "VARCHAR"


def _struct(types: dict[str, str]) -> str:
    """Return types by column as DuckDB's readers take them."""
    named = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items())
    return f"{{{named}}}"
