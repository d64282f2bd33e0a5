"""A run's tables for one iteration: committed Parquet shards, what is settled, and nothing twice.

A stage's items lie in buckets: an item's bucket follows from its key and never changes, whoever
plans and however often. The order of a commit, and what a crash leaves in each gap:
1. each data file is written under a temporary name and renamed (an object store: put whole);
   a crash leaves files that no manifest entry names: not counted, swept at a later start;
2. one manifest entry of the bucket is created, only if none of its name is there: from here on it
   is committed.
Two workers that do the same items at once, of one plan or of two, race for that name; the loser
takes the next name and leaves out what the winner settled. A name is never used again: an entry
that is taken back leaves a mark, one that was merged (`spar_core/merging.py`) stands in a list. A
writer that was held up for hours may still create such a name; nobody counts it, and it looks.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas import TABLES, manifest, names, run_folder
from schemas.entries import MERGED, DataFile, Entry, EntryList, replaced_files
from schemas.manifest import GONE, Held, is_local
from schemas.table import MAIN
from terminal.exits import InputError

if TYPE_CHECKING:
    import fsspec

_BUCKETS = re.compile(rb"[1-9]\d{0,5}")

Rows = dict[str, list[Any]]
"""Rows of several tables, by the table's name."""

SWEEP_AGE_S = 3600.0
"""Where writers may live on other machines, only files older than this are swept."""

WRITE_S = SWEEP_AGE_S / 2
"""A commit that took longer to write its files writes them again: they might be swept."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An item that is done: the rows it gave.

    retry: it failed, and the next run should try again.
    """

    key: str
    rows: Rows
    retry: bool = False


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
            try:
                self._open["fs"], self._open["root"] = run_folder.opened(self.run)
            except run_folder.NotOpened as error:
                raise InputError(str(error)) from None
        return self._open["fs"]

    @property
    def root(self) -> str:
        return str(self.fs and self._open["root"])

    @property
    def is_local(self) -> bool:
        return is_local(self.fs)

    @property
    def manifest(self) -> str:
        """The folder of this iteration's entries and settings."""
        return f"{self.root}/{manifest.FOLDER}/iteration={self.iteration}"

    def entries(self, stage: str | None = None, variant: str = MAIN) -> dict[str, Entry]:
        """Manifest entries by path; of all stages and variants unless a stage is named."""
        folder = None if stage is None else manifest.folder(stage, variant)
        return manifest.read(self.fs, self.root, self.iteration, folder)

    def buckets(self, stage: str, variant: str, wanted: int) -> int:
        """How many buckets a stage's items lie in: what is wanted, unless it is fixed already."""
        path = f"{self.manifest}/{manifest.folder(stage, variant)}.buckets"
        self.fs.makedirs(self.manifest, exist_ok=True)
        if self.create(path, str(wanted).encode()):
            return wanted
        said = self.fs.cat_file(path)
        if not _BUCKETS.fullmatch(said):
            names.refused(path, f"holds {names.brief(said)} for a number of buckets")
        return int(said)

    def settled(self, stage: str, variant: str, bucket: str) -> set[str]:
        """Keys of a bucket that are committed."""
        return self._bucket(manifest.folder(stage, variant), bucket).keys

    def commit(
        self,
        stage: str,
        bucket: str,
        settled: Sequence[Settled],
        usage: Mapping[str, float] | None = None,
        variant: str = MAIN,
    ) -> int:
        """Commit items of a bucket; those already committed are left out.

        Args:
            bucket: the same for the same item at all times.
            usage: goes into the manifest, also where no item is left to commit.

        Returns:
            How many items were committed.

        Raises:
            OSError: it could not be written; what is not in the manifest then is not committed,
                and the usage is not written down.
        """
        kinds = [[item for item in settled if item.retry is retry] for retry in (False, True)]
        some = [kind for kind in kinds if kind] or [[]]
        spent = usage if usage and any(usage.values()) else {}
        # The usage goes with the last, so that after an error none of it is written down.
        return sum(
            self._commit(stage, bucket, kind, spent if kind is some[-1] else {}, variant)
            for kind in some
        )

    def _commit(
        self,
        stage: str,
        bucket: str,
        settled: Sequence[Settled],
        usage: Mapping[str, float],
        variant: str,
    ) -> int:
        name = manifest.folder(stage, variant)
        folder = f"{self.manifest}/{name}"
        self.fs.makedirs(folder, exist_ok=True)
        retry = any(item.retry for item in settled)
        while True:
            earlier = self._bucket(name, bucket)
            fresh = [item for item in settled if item.key not in earlier.keys]
            if not fresh and not usage:
                return 0
            part = earlier.next
            began = time.monotonic()
            files = {
                table: self._write(table, f"{name}-{bucket}-{part}", rows, variant)
                for table, rows in _merged(fresh).items()
                if rows
            }
            if time.monotonic() - began > WRITE_S:
                continue
            keys = tuple(item.key for item in fresh)
            entry = Entry(stage, bucket, part, keys, files, retry, dict(usage), variant)
            path = f"{folder}/{bucket}.{part}.json"
            if self.create(path, entry.to_json()) and self._counts(name, bucket, part):
                return len(fresh)

    def held(self, folder: str, begins: str = "") -> tuple[Held, EntryList | None]:
        """What lies in a stage's folder, and the list of it that counts.

        Args:
            begins: how the names of entries begin.
        """
        folders = manifest.held(self.fs, self.root, self.iteration, folder, begins)
        lists = manifest.latest_lists(self.fs, folders)
        at = f"iteration={self.iteration}/{folder}"
        return folders.get(at, Held()), lists.get(at)

    def _bucket(self, folder: str, bucket: str) -> _Bucket:
        """What is committed of a bucket."""
        while True:
            held, latest = self.held(folder, f"{bucket}.")
            paths = [path for at, path in held.counting(latest).items() if at.work == bucket]
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                texts = manifest.contents(self.fs, paths)
                break
        entries = map(Entry.from_json, texts, paths)
        keys = {key for entry in entries for key in entry.keys}
        taken = [at.part for at in (*held.entries, *held.gone) if at.work == bucket]
        if latest:
            keys |= latest.keys(bucket)
            taken += [last for _, last in latest.covers.get(bucket, ())]
        return _Bucket(keys, max(taken, default=-1) + 1)

    def _counts(self, folder: str, bucket: str, part: int) -> bool:
        """Whether an entry counts that was created just now."""
        if self.fs.exists(f"{self.manifest}/{folder}/{bucket}.{part}{GONE}"):
            return False
        latest = manifest.latest_list(self.fs, self.root, self.iteration, folder)
        return not (latest and latest.does_cover(bucket, part))

    def _write(self, table: str, name: str, rows: list[Any], variant: str) -> DataFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        held = TABLES[table].to_arrow(rows)
        if variant != MAIN and "variant" in held.column_names:
            column = pa.array([variant] * len(held), pa.string())
            held = held.set_column(held.schema.get_field_index("variant"), "variant", column)
        buffer = io.BytesIO()
        pq.write_table(held, buffer, compression="zstd")
        data = buffer.getvalue()
        return DataFile(self.put(table, name, data), len(rows), TABLES[table].form)

    def put(self, table: str, name: str, data: bytes) -> str:
        """Write a data file whole; returns its path in the run."""
        folder = f"{table}/iteration={self.iteration}"
        path = f"{folder}/{name}-{hashlib.sha256(data).hexdigest()[:10]}.parquet"
        self.fs.makedirs(f"{self.root}/{folder}", exist_ok=True)
        self.replace(f"{self.root}/{path}", data)
        return path

    def create(self, path: str, data: bytes) -> bool:
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

    def replace(self, path: str, data: bytes) -> None:
        """Write a file whole, in place of one that may be there."""
        if self.is_local:
            os.replace(_write_scratch(path, data), path)
        else:
            self.fs.pipe_file(path, data)

    def retract(self, paths: Sequence[str]) -> None:
        """Take manifest entries back, and the data files that they name; not those of a list."""
        for path in paths:
            try:
                entry = Entry.from_json(self.fs.cat_file(path), path)
            except FileNotFoundError:
                if not self.fs.exists(path.removesuffix(".json") + GONE):
                    raise
                continue
            self.create(path.removesuffix(".json") + GONE, b"")
            for each in (path, *(f"{self.root}/{file.path}" for file in entry.files.values())):
                self.check_inside(each)
                with contextlib.suppress(FileNotFoundError):
                    self.fs.rm_file(each)

    def sweep(self, age_s: float = 0.0) -> None:
        """Remove this iteration's files that no entry names.

        What a list made superfluous stays until the list is older than `SWEEP_AGE_S`: readers may
        still be at it.

        Args:
            age_s: only those that are older; 0 only while nobody else can be writing.
        """
        self.fs.invalidate_cache()
        stray = set(self.fs.glob(f"{glob.escape(self.root)}/{manifest.FOLDER}/**/*.tmp"))
        for table in TABLES:
            folder = f"{self.root}/{table}/iteration={self.iteration}"
            if self.fs.isdir(folder):
                stray |= set(self.fs.ls(folder, detail=False))
        # Read after the files are listed: whoever commits meanwhile has named what was listed.
        named = {f.path for entry in self.entries().values() for f in entry.files.values()}
        for at in manifest.held(self.fs, self.root, self.iteration):
            named |= self._clear_merged(at.partition("/")[2], age_s)
        for path in stray:
            table, iteration, name = path.rsplit("/", 3)[1:]
            if f"{table}/{iteration}/{name}" not in named:
                self._remove(path, age_s)

    def _clear_merged(self, folder: str, age_s: float) -> set[str]:
        """Remove what a stage's latest list stands for, once nobody is at it any more.

        Returns:
            Paths of data files that somebody may still be at.
        """
        beside = f"{self.manifest}/{folder}/{MERGED}"
        if not self.fs.isdir(beside):
            return set()
        stray = set(self.fs.ls(beside, detail=False))
        held, latest = self.held(folder)  # after what lies beside the lists is listed
        lists = manifest.lists(self.fs, held)
        is_settled = latest and _age_s(self.fs.modified(held.lists[latest.number])) > SWEEP_AGE_S
        if latest and is_settled:
            lists = {latest.number: latest}
            for at, path in [*held.entries.items(), *held.gone.items()]:
                if latest.does_cover(at.work, at.part):
                    self._remove(path)
        named = {f"{beside}/{name}" for each in lists.values() for name in each.beside()}
        for path in stray - named - {held.lists[number] for number in lists}:
            self._remove(path, age_s)
        replaced = [] if is_settled else [f"{beside}/{each.replaced}" for each in lists.values()]
        texts = manifest.contents(self.fs, replaced)
        return {
            path
            for text, at in zip(texts, replaced, strict=True)
            for path in replaced_files(text, at)
        }

    def _remove(self, path: str, age_s: float = 0.0) -> None:
        """Remove a file, if it is there and older."""
        with contextlib.suppress(FileNotFoundError):
            if not age_s or _age_s(self.fs.modified(path)) > age_s:
                self.check_inside(path)
                self.fs.rm_file(path)

    def check_inside(self, path: str) -> None:
        """See that a path to be removed lies in the run, whatever links lead to it.

        Raises:
            InputError: the folder that holds it is elsewhere on this machine's disk.
        """
        if not self.is_local:
            return
        folder = os.path.dirname(path)
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(self.root)):
            raise InputError(
                f"{folder} leads out of the run {self.run} by a link, so nothing is removed there: "
                "put the folder itself in its place, or move the run as a whole"
            )


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket's keys that are committed, and the number of its next commit."""

    keys: set[str]
    next: int


def _age_s(modified: datetime) -> float:
    known = modified if modified.tzinfo else modified.replace(tzinfo=UTC)
    return (datetime.now(UTC) - known).total_seconds()


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
