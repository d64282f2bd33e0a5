"""Ways to commit rows of `judgements` to a folder: our manifest, deltalake, pyiceberg.

Each does the same work: rows of a bucket are added, some of which others may have added before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.dataset as ds

from schemas import TABLES, manifest, views
from schemas.judgements import Judgement
from spar_core.dataset import Dataset, Settled

TABLE = TABLES["judgements"]
_KEY = "response_id"
_TRIES = 200


class Store(Protocol):
    """A table at a place, as one process sees it.

    conflicts: how often a commit was refused and tried again.
    """

    conflicts: int

    def prepare(self) -> None:
        """Make the empty table."""

    def commit(self, bucket: str, rows: Sequence[Judgement]) -> None: ...

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection with `judgements` in it."""

    def named(self) -> set[str]:
        """The names of the data files that count."""


@dataclass
class Manifest:
    """Parquet files, and entries that are created only where none of their name is."""

    place: str
    conflicts: int = 0

    def prepare(self) -> None:
        """A folder comes with its first commit."""

    def commit(self, bucket: str, rows: Sequence[Judgement]) -> None:
        settled = [Settled(row.response_id, {TABLE.name: [row]}) for row in rows]
        Dataset(self.place, 1).commit("judge", bucket, settled)

    def connect(self) -> duckdb.DuckDBPyConnection:
        return views.connect(self.place, (TABLE.name,))

    def named(self) -> set[str]:
        entries = manifest.read(*fsspec.core.url_to_fs(self.place)).values()
        return {Path(file.path).name for entry in entries for file in entry.files.values()}


@dataclass
class Delta:
    """A Delta table, partitioned by bucket so that a bucket's keys are found.

    how: `append`; `merge` on the key; or `transaction`: append what the bucket does not hold, under
        a transaction number of the bucket's own, for which others conflict.
    """

    place: str
    how: str
    conflicts: int = 0
    _opened: Any = None

    def _table(self) -> Any:
        """The table as it is now."""
        from deltalake import DeltaTable

        if self._opened is None:
            self._opened = DeltaTable(self.place)
        else:
            self._opened.update_incremental()
        return self._opened

    def prepare(self) -> None:
        from deltalake import DeltaTable

        schema = TABLE.schema.append(pa.field("bucket", pa.string()))
        DeltaTable.create(self.place, schema=schema, partition_by=["bucket"])

    def commit(self, bucket: str, rows: Sequence[Judgement]) -> None:
        from deltalake.exceptions import CommitFailedError

        data = TABLE.to_arrow(rows).append_column("bucket", pa.array([bucket] * len(rows)))
        attempt = {"append": self._append, "merge": self._merge}.get(self.how, self._transact)
        self.conflicts += _tried(lambda: attempt(bucket, data), CommitFailedError)

    def _append(self, bucket: str, data: pa.Table) -> None:
        from deltalake import write_deltalake

        write_deltalake(self._table(), data, mode="append")

    def _merge(self, bucket: str, data: pa.Table) -> None:
        same = f"t.bucket = '{bucket}' and t.{_KEY} = s.{_KEY}"
        merge = self._table().merge(data, same, source_alias="s", target_alias="t")
        merge.when_not_matched_insert_all().execute()

    def _transact(self, bucket: str, data: pa.Table) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake

        table = self._table()
        part = (table.transaction_version(bucket) or 0) + 1
        held = table.to_pyarrow_dataset(partitions=[("bucket", "=", bucket)])
        keys = held.to_table(columns=[_KEY])[_KEY].combine_chunks().cast(pa.string())
        fresh = data.filter(~ds.field(_KEY).isin(keys))
        if fresh.num_rows:
            numbered = CommitProperties(app_transactions=[Transaction(bucket, part)])
            write_deltalake(table, fresh, mode="append", commit_properties=numbered)

    def connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.register(TABLE.name, self._table().to_pyarrow_dataset())
        return connection

    def named(self) -> set[str]:
        return {uri.rpartition("/")[2] for uri in self._table().file_uris()}


@dataclass
class Iceberg:
    """An Iceberg table with its catalog in SQLite, on a disk of this machine.

    how: `append`, or `upsert` on the key.
    """

    place: str
    how: str
    catalog: str
    conflicts: int = 0
    _opened: Any = None

    def _catalog(self) -> Any:
        from pyiceberg.catalog.sql import SqlCatalog

        if self._opened is None:
            place = self.place if "://" in self.place else f"file://{self.place}"
            uri = f"sqlite:///{self.catalog}"
            self._opened = SqlCatalog("bench", uri=uri, warehouse=place)
        return self._opened

    def _table(self) -> Any:
        return self._catalog().load_table(f"run.{TABLE.name}")

    def prepare(self) -> None:
        catalog = self._catalog()
        catalog.create_namespace("run")
        catalog.create_table(f"run.{TABLE.name}", schema=TABLE.schema)

    def commit(self, bucket: str, rows: Sequence[Judgement]) -> None:
        from pyiceberg.exceptions import CommitFailedException

        data = TABLE.to_arrow(rows)
        self.conflicts += _tried(lambda: self._commit(data), CommitFailedException)

    def _commit(self, data: pa.Table) -> None:
        table = self._table()
        if self.how == "append":
            table.append(data)
        else:
            table.upsert(data, join_cols=[_KEY], when_matched_update_all=False)

    def connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.register(TABLE.name, self._table().scan().to_arrow())
        return connection

    def named(self) -> set[str]:
        paths = self._table().inspect.files()["file_path"].to_pylist()
        return {path.rpartition("/")[2] for path in paths}


def _tried(attempt: Callable[[], None], conflict: type[Exception]) -> int:
    """Try until no other writer is in the way; how often one was."""
    for conflicts in range(_TRIES):
        try:
            attempt()
        except conflict:
            continue
        return conflicts
    raise RuntimeError(f"{_TRIES} conflicts in a row")
