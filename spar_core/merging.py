"""Merging: many commits of a stage, each an entry and a data file or two, become few.

What is merged, and what a crash leaves in each gap:
1. data files that hold the rows of many commits are written, and files of their keys;
   a crash leaves files that nothing names: swept at a later start;
2. a file is written that names the data files which are superfluous by then; likewise;
3. a list of the new entries is created, only if none of its number is there: from here on it
   counts and the entries that it covers do not. Their files stay for readers that know no
   better, until the list is older than `SWEEP_AGE_S` (`Dataset.sweep`).
Two that merge at once race for the number; the loser looks again. Writers go on meanwhile: what
they commit is not covered. Failures stay as they are, to be taken back one by one.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import TABLES, manifest
from schemas.entries import KEYS, MERGED, DataFile, Entry, EntryList, Range, StoredKeys
from schemas.manifest import Commit
from schemas.table import MAIN, arrow_schema
from spar_core.dataset import SWEEP_AGE_S, Dataset

WORTH_IT = 512
"""So many commits of a stage are worth merging: a run opens slower by a fraction of a second."""

FILE_ROWS = 100_000
"""Rows of a merged data file; it ends with the commit that makes it so many."""

_FILE_BYTES = 128 << 20
_GROUP_ROWS = 20_000
"""Rows of a row group."""

_READ_AT_ONCE = 64
WRITE_S = SWEEP_AGE_S / 2
"""After so long a list is written of what is merged until then: its files might be swept."""

_LOST = 10
"""Races for a list's number that may be lost in a row."""

_HIGHEST = "latency_ms_max"
"""Of the engine's use what is no sum."""


@dataclass(slots=True)
class _Rows:
    """A Parquet file in the making."""

    schema: pa.Schema
    buffer: io.BytesIO = field(default_factory=io.BytesIO)
    waiting: list[pa.Table] = field(default_factory=list)
    written: int = 0
    _writer: pq.ParquetWriter | None = None

    @property
    def rows(self) -> int:
        return self.written + sum(map(len, self.waiting))

    def add(self, rows: pa.Table) -> None:
        self.waiting.append(rows)
        if self.rows - self.written >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a row group."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.buffer, self.schema, compression="zstd")
        if self.waiting:
            rows = pa.concat_tables(self.waiting)
            self._writer.write_table(rows, row_group_size=max(1, len(rows)))
            self.written += len(rows)
            self.waiting = []

    def close(self) -> bytes:
        self.flush()
        if self._writer:
            self._writer.close()
        return self.buffer.getvalue()


@dataclass(slots=True)
class _Group:
    """Commits that become one: their rows by table, their keys by work, the engine's use."""

    tables: dict[str, _Rows] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    settled: int = 0

    @property
    def is_full(self) -> bool:
        rows = max((table.rows for table in self.tables.values()), default=0)
        held = max((table.buffer.tell() for table in self.tables.values()), default=0)
        return max(rows, self.settled) >= FILE_ROWS or held >= _FILE_BYTES

    def add(self, entry: Entry, tables: Mapping[str, pa.Table]) -> None:
        for name, rows in tables.items():
            if name not in self.tables:
                self.tables[name] = _Rows(TABLES[name].schema)
            self.tables[name].add(rows)
        for work, keys in _by_work(entry).items():
            self.keys.setdefault(work, []).extend(keys)
        self.settled += len(entry.keys)
        for name, value in entry.usage.items():
            before = self.usage.get(name, 0.0)
            self.usage[name] = max(before, value) if name == _HIGHEST else before + value


@dataclass(slots=True)
class _Merged:
    """What a list is made of, as far as it is written.

    entries: new ones. commits: those they hold. parts: of entries of the list before, likewise.
    replaced: data files that are superfluous then.
    """

    entries: list[Entry] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    parts: set[int] = field(default_factory=set)
    replaced: list[str] = field(default_factory=list)

    def take(self, source: Commit | int, entry: Entry) -> None:
        if isinstance(source, Commit):
            self.commits.append(source)
        else:
            self.parts.add(source)
        self.replaced += [file.path for file in entry.files.values()]


_Read = tuple[Commit | int, Entry, dict[str, pa.Table]]
"""A commit, or the part of an entry of a list, with its rows by table."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes what belongs to a stage's list of a number."""

    dataset: Dataset
    stage: str
    variant: str
    number: int

    @property
    def folder(self) -> str:
        return manifest.folder(self.stage, self.variant)

    @property
    def place(self) -> str:
        """The folder of the lists."""
        return f"{self.dataset.manifest}/{self.folder}/{MERGED}"

    def put(self, group: _Group) -> Entry:
        """Write the rows and keys of some commits; returns what they are then."""
        files = {
            table: DataFile(
                self.dataset.put(table, f"{self.folder}-{MERGED}-{self.number}", rows.close()),
                rows.rows,
                TABLES[table].form,
            )
            for table, rows in group.tables.items()
        }
        buffer, works, schema = io.BytesIO(), sorted(group.keys), arrow_schema(KEYS)
        with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
            for work in works:
                keys = group.keys[work]
                writer.write_table(pa.table([[work] * len(keys), keys], schema=schema))
        path = f"{self.place}/{self.put_beside(buffer.getvalue(), 'keys')}"
        stored = StoredKeys(self.dataset.fs, path, group.settled, works)
        return Entry(self.stage, MERGED, 0, stored, files, usage=group.usage, variant=self.variant)

    def put_beside(self, data: bytes, ending: str) -> str:
        """Write a file beside the list; returns its name."""
        name = f"{self.number}-{hashlib.sha256(data).hexdigest()[:10]}.{ending}"
        self.dataset.replace(f"{self.place}/{name}", data)
        return name


def merge(dataset: Dataset, stage: str, variant: str = MAIN, least: int = 2) -> int:
    """Make the commits of a stage few, if there are so many as `least`.

    Returns:
        How many were merged; what they settled and their rows stay the same.

    Raises:
        OSError: it could not be written; all that was committed counts as it did.
    """
    total = lost = 0
    while True:
        merged = _merge(dataset, stage, variant, max(least, 2))
        if merged is None and lost < _LOST:
            lost += 1
            continue
        if not merged:
            return total
        total, lost = total + merged, 0


def _merge(dataset: Dataset, stage: str, variant: str, least: int) -> int | None:
    """Write the next list; returns how many commits it adds, None if somebody was in the way."""
    began = time.monotonic()
    held, latest = dataset.held(manifest.folder(stage, variant))
    paths = {at: held.entries[at] for at in sorted(held.counting(latest), key=_place)}
    if len(paths) < least:
        return 0
    before = latest.entries if latest else ()
    small = {entry.part: entry for entry in before if _is_small(entry)}
    writer = _Writer(dataset, stage, variant, max(held.lists, default=-1) + 1)
    dataset.fs.makedirs(writer.place, exist_ok=True)
    try:
        merged = _written(writer, _read(dataset, small, paths), began)
    except FileNotFoundError:  # taken back, or merged by another, since it was listed
        return None
    if not merged.commits:
        return 0
    listed = EntryList(
        writer.number,
        _covers(latest.covers if latest else {}, [*merged.commits, *held.gone]),
        [*(entry for entry in before if entry.part not in merged.parts), *merged.entries],
        writer.put_beside(json.dumps(merged.replaced).encode(), "replaced"),
    )
    if time.monotonic() - began > SWEEP_AGE_S:
        return None
    is_first = dataset.create(f"{writer.place}/{writer.number}.json", listed.to_json())
    return len(merged.commits) if is_first else None


def _written(writer: _Writer, read: Iterable[_Read], began: float) -> _Merged:
    """Write what is read, until there is no more or it has taken too long."""
    merged, group = _Merged(), _Group()
    for source, entry, tables in read:
        merged.take(source, entry)
        group.add(entry, tables)
        if group.is_full:
            merged.entries.append(writer.put(group))
            group = _Group()
            if time.monotonic() - began > WRITE_S:
                return merged
    if group.settled or group.usage:
        merged.entries.append(writer.put(group))
    return merged


def _read(
    dataset: Dataset, small: Mapping[int, Entry], paths: Mapping[Commit, str]
) -> Iterator[_Read]:
    """Entries of a list and commits that can be merged, with their rows."""
    yield from _with_rows(dataset, small)
    for start in range(0, len(paths), _READ_AT_ONCE):
        commits = [*paths][start : start + _READ_AT_ONCE]
        some = [paths[commit] for commit in commits]
        entries = map(Entry.from_json, manifest.contents(dataset.fs, some), some)
        yield from _with_rows(
            dataset, {at: e for at, e in zip(commits, entries, strict=True) if _is_lasting(e)}
        )


def _with_rows(dataset: Dataset, entries: Mapping[Any, Entry]) -> Iterator[_Read]:
    names = [file.path for entry in entries.values() for file in entry.files.values()]
    read = manifest.contents(dataset.fs, [f"{dataset.root}/{name}" for name in names])
    data = dict(zip(names, read, strict=True))
    for source, entry in entries.items():
        yield (
            source,
            entry,
            {
                table: pq.ParquetFile(pa.BufferReader(data[file.path])).read()
                for table, file in entry.files.items()
            },
        )


def _is_lasting(entry: Entry) -> bool:
    """Whether a commit is never taken back, and its rows have the columns of today."""
    return (
        not entry.retry
        and set(entry.files) != {"failures"}
        and all(t in TABLES and f.form == TABLES[t].form for t, f in entry.files.items())
    )


def _is_small(entry: Entry) -> bool:
    """Whether an entry of a list may be merged once more."""
    most = max([len(entry.keys), *(file.rows for file in entry.files.values())])
    return most < FILE_ROWS / 2 and _is_lasting(entry)


def _by_work(entry: Entry) -> dict[str, list[str]]:
    """An entry's keys by the work that settled them."""
    if isinstance(entry.keys, StoredKeys):
        return {work: entry.keys.of(work) for work in entry.keys.works}
    return {entry.work: list(entry.keys)}


def _covers(
    before: Mapping[str, Sequence[Range]], commits: Sequence[Commit]
) -> dict[str, list[Range]]:
    """Ranges of commits by work: those of before, and these."""
    ranges = {work: list(some) for work, some in before.items()}
    for commit in commits:
        ranges.setdefault(commit.work, []).append((commit.part, commit.part))
    return {work: _joined(sorted(some)) for work, some in ranges.items()}


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """Sorted ranges, of which some meet or overlap, as few."""
    found: list[Range] = []
    for first, last in ranges:
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def _place(commit: Commit) -> tuple[str, int]:
    return commit.work, commit.part
