"""A catalog of a run: a DuckDB file with its views and macros, for whatever opens such a file.

It holds no rows of the tables, only where they are: absolute paths of the files that were
committed when it was made.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from schemas.views import MANIFEST_TABLES, define, quoted

if TYPE_CHECKING:
    import duckdb

READ_BY_DUCKDB = ("file", "gs", "s3")
"""File systems that DuckDB opens by itself, the last two with its extension httpfs."""

_STORAGE = "v1.0.0"
"""The file's format: every DuckDB from 1.0 on reads it."""


class NoCatalog(Exception):
    """A catalog cannot be made there, or of that."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What was written: so many views and macros, over so many Parquet files."""

    path: str
    names: int
    files: int


def write(run: str, path: str) -> Catalog:
    """Write a run's catalog; one that this function made is replaced, all at once.

    Raises:
        NoCatalog: `path` is something else, or DuckDB could not read the run by itself.
        OSError, duckdb.Error: it cannot be read or written.
    """
    import duckdb
    import fsspec

    fs, _ = fsspec.core.url_to_fs(run)
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    if not set(READ_BY_DUCKDB) & set(protocols):
        raise NoCatalog(
            f"DuckDB cannot read {run} by itself: a catalog needs a run on a local disk, gs:// or "
            "s3://"
        )
    target = _checked(path)
    scratch = f"{target}.{os.getpid()}.tmp"
    try:
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false")
            connection.execute(f"attach {quoted(scratch)} as made (storage_version '{_STORAGE}')")
            connection.execute("use made")
            files = define(connection, run)
            names = [name for (name,) in connection.execute(_NAMES).fetchall()]
            _say_what_is_what(connection)
            _stamp(connection, run, files, names)
            connection.execute("use memory")
            connection.execute("detach made")
        os.replace(scratch, target)
    finally:
        for left in (scratch, f"{scratch}.wal"):
            with suppress(FileNotFoundError):
                os.unlink(left)
    return Catalog(path, len(names), len(files))


_NAMES = """
    select view_name from duckdb_views() where database_name = current_database() and not internal
    union select table_name from duckdb_tables() where database_name = current_database()
    union select function_name from duckdb_functions()
        where database_name = current_database() and not internal
    order by all"""
"""What a database holds that is not DuckDB's own."""


def _say_what_is_what(connection: duckdb.DuckDBPyConnection) -> None:
    """Comments, which tools show beside the names."""
    kinds = {"table": "view", "view": "view", "macro": "macro table"}
    for name, kind, what in connection.execute("from contents").fetchall():
        noun = "table" if name in MANIFEST_TABLES else kinds[kind]
        bare = name.partition("(")[0]
        connection.execute(f"comment on {noun} {bare} is {quoted(what)}")


def _stamp(
    connection: duckdb.DuckDBPyConnection, run: str, files: list[str], names: list[str]
) -> None:
    """The table `snapshot`: of what, when, and which names are ours."""
    import fsspec

    fs, root = fsspec.core.url_to_fs(run)
    place = fs.unstrip_protocol(root).removeprefix("file://")
    connection.execute(
        "create table snapshot as select ?::varchar as run, ?::timestamp as made_at, "
        "?::bigint as files, ?::varchar[] as names",
        [place, datetime.now(UTC).replace(tzinfo=None), len(files), [*names, "snapshot"]],
    )
    connection.execute(
        "comment on table snapshot is 'which run, and as of when (UTC); python -m inspection.sql "
        "--run RUN --catalog FILE makes it anew'"
    )


def _checked(path: str) -> str:
    """The file to write, links resolved.

    Raises:
        NoCatalog: something is there that must stay, or nothing can be there.
    """
    if "://" in path:
        raise NoCatalog(f"a catalog is a file on a local disk, not {path}")
    target = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(target)):
        raise NoCatalog(f"no such folder: {os.path.dirname(target)}")
    if os.path.exists(f"{target}.wal"):
        raise NoCatalog(f"{path} is in use or was left unfinished: {path}.wal is there")
    if os.path.lexists(target):
        _check_ours(path, target)
    return target


def _check_ours(path: str, target: str) -> None:
    if not os.path.isfile(target):
        raise NoCatalog(f"{path} stays as it is: it is no file")
    import duckdb

    try:
        with duckdb.connect(target, read_only=True) as connection:
            held = {name for (name,) in connection.execute(_NAMES).fetchall()}
            made = connection.execute("select names from snapshot").fetchall()[0][0]
    except (duckdb.Error, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise NoCatalog(
            f"{path} stays as it is: it cannot be read as the catalog of a run ({reason})"
        ) from None
    if added := sorted(held - set(made)):
        raise NoCatalog(
            f"{path} stays as it is: it holds what this command did not make ({', '.join(added)})"
        )
