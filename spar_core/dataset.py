"""A run's tables for one iteration: committed Parquet shards, what is settled, and nothing twice.

The order of a commit, and what a crash leaves in each gap:
1. each data file is written under a temporary name and renamed (an object store: put whole);
   a crash leaves files that no manifest entry names: not counted, swept at the next start;
2. one manifest entry is created, only if none of its name is there: from here on it is committed.
Two workers that do the same batch at once race for that name; the loser takes the next name and
leaves out what the winner settled.
"""

from __future__ import annotations

import dataclasses
import fcntl
import glob
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow.parquet as pq

from schemas import TABLES, manifest
from schemas.manifest import DataFile, Entry
from schemas.views import is_local

Rows = dict[str, list[Any]]
"""Rows of several tables, by the table's name."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An item that is done: the rows it gave.

    retry: it failed in a way that the next run should try again.
    """

    key: str
    rows: Rows
    retry: bool = False


class SettingsDiffer(Exception):
    """The iteration was begun with other settings."""


class RunLocked(Exception):
    """Another process works on this run."""


@dataclass(frozen=True)
class Dataset:
    """One iteration of a run.

    Args:
        run: a folder: a path, or the URL of any file system that fsspec knows.
    """

    run: str
    iteration: int
    _open: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"run": self.run, "iteration": self.iteration, "_open": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def fs(self) -> fsspec.AbstractFileSystem:
        if "fs" not in self._open:
            self._open["fs"], self._open["root"] = fsspec.core.url_to_fs(self.run)
        return self._open["fs"]

    @property
    def root(self) -> str:
        return str(self.fs and self._open["root"])

    @property
    def is_local(self) -> bool:
        return is_local(self.fs)

    def entries(self, stage: str | None = None) -> dict[str, Entry]:
        """Manifest entries by path."""
        return manifest.read(self.fs, self.root, self.iteration, stage)

    def commit(
        self,
        stage: str,
        work: str,
        settled: Sequence[Settled],
        usage: dict[str, float] | None = None,
    ) -> int:
        """Commit items of a batch; those already committed are left out.

        Args:
            work: the batch's id; no other batch holds any of the items.
            usage: goes into the manifest.

        Returns:
            How many items were committed.

        Raises:
            OSError: it could not be written; what is not in the manifest then is not committed.
        """
        committed = 0
        for retry in (False, True):
            kind = [item for item in settled if item.retry is retry]
            if kind:
                committed += self._commit(stage, work, kind, retry, usage or {})
                usage = None
        return committed

    def _commit(
        self,
        stage: str,
        work: str,
        settled: Sequence[Settled],
        retry: bool,
        usage: dict[str, float],
    ) -> int:
        folder = f"{self.root}/{manifest.FOLDER}/iteration={self.iteration}/{stage}"
        self.fs.makedirs(folder, exist_ok=True)
        while True:
            earlier = self._parts(folder, work)
            taken = {key for entry in earlier for key in entry.keys}
            fresh = [item for item in settled if item.key not in taken]
            if not fresh:
                return 0
            part = max((entry.part for entry in earlier), default=-1) + 1
            files = {
                table: self._write(table, f"{stage}-{work}-{part}", rows)
                for table, rows in _merged(fresh).items()
                if rows
            }
            keys = tuple(item.key for item in fresh)
            entry = Entry(stage, work, part, keys, files, retry, usage)
            if self._create(f"{folder}/{work}.{part}.json", entry.to_json()):
                return len(fresh)

    def _parts(self, folder: str, work: str) -> list[Entry]:
        """The batch's commits so far."""
        self.fs.invalidate_cache(folder)
        paths = self.fs.glob(f"{glob.escape(folder)}/{work}.*.json")
        return [Entry.from_json(self.fs.cat_file(path)) for path in paths]

    def _write(self, table: str, name: str, rows: list[Any]) -> DataFile:
        buffer = io.BytesIO()
        pq.write_table(TABLES[table].to_arrow(rows), buffer, compression="zstd")
        data = buffer.getvalue()
        folder = f"{table}/iteration={self.iteration}"
        path = f"{folder}/{name}-{hashlib.sha256(data).hexdigest()[:10]}.parquet"
        self.fs.makedirs(f"{self.root}/{folder}", exist_ok=True)
        if self.is_local:
            scratch = _write_scratch(f"{self.root}/{path}", data)
            os.replace(scratch, f"{self.root}/{path}")
        else:
            self.fs.pipe_file(f"{self.root}/{path}", data)
        return DataFile(path, len(rows), TABLES[table].form)

    def _create(self, path: str, data: bytes) -> bool:
        """Create a file whole; False where one is there."""
        try:
            if self.is_local:
                scratch = _write_scratch(path, data)
                try:
                    os.link(scratch, path)
                finally:
                    os.unlink(scratch)
            else:
                self.fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def retract(self, paths: Sequence[str]) -> None:
        """Take manifest entries back; their data files no longer count and are swept."""
        for path in paths:
            self.fs.rm_file(path)
        if paths:
            self.sweep()

    def sweep(self) -> None:
        """Remove this iteration's files that no entry names; only while nobody else writes."""
        named = {f.path for entry in self.entries().values() for f in entry.files.values()}
        for table in TABLES:
            folder = f"{self.root}/{table}/iteration={self.iteration}"
            if not self.fs.isdir(folder):
                continue
            for path in self.fs.ls(folder, detail=False):
                if f"{table}/iteration={self.iteration}/{path.rpartition('/')[2]}" not in named:
                    self.fs.rm_file(path)
        for path in self.fs.glob(f"{glob.escape(self.root)}/{manifest.FOLDER}/**/*.tmp"):
            self.fs.rm_file(path)

    def claim_settings(self, stage: str, settings: dict[str, Any]) -> None:
        """Write down what a stage runs with, or make sure that it is what it was begun with.

        Raises:
            SettingsDiffer: with the names and both values.
        """
        path = f"{self.root}/{manifest.FOLDER}/iteration={self.iteration}/{stage}.settings"
        text = json.dumps(settings, indent=1, sort_keys=True)
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._create(path, text.encode()):
            return
        begun = json.loads(self.fs.cat_file(path))
        wanted = json.loads(text)
        if begun == wanted:
            return
        names = sorted({*begun, *wanted})
        changes = ", ".join(
            f"{name}: {begun.get(name)!r} -> {wanted.get(name)!r}"
            for name in names
            if begun.get(name) != wanted.get(name)
        )
        raise SettingsDiffer(
            f"stage {stage} of iteration {self.iteration} in {self.run} was begun with other "
            f"settings ({changes})"
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run against other processes; on object stores there is no lock.

        Raises:
            RunLocked: another process holds it.
        """
        if not self.is_local:
            yield
            return
        os.makedirs(self.root, exist_ok=True)
        with open(f"{self.root}/.lock", "w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunLocked(f"another process is working on the run {self.run}") from None
            yield


def _merged(settled: Sequence[Settled]) -> Rows:
    rows: Rows = {}
    for item in settled:
        for table, some in item.rows.items():
            rows.setdefault(table, []).extend(some)
    return rows


def _write_scratch(path: str, data: bytes) -> str:
    """The data in a temporary file beside `path`, on disk."""
    scratch = f"{path}.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        with open(scratch, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if os.path.exists(scratch):
            os.unlink(scratch)
        raise
    return scratch


def fingerprint(value: Any) -> str:
    """A short hash of plain data or a dataclass."""
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
