"""Entries of a manifest: what a commit, or a list of many commits, says of itself.

Each is a JSON file, written once. Reading one matches every name in it (`schemas/names.py`): a run
may have been made by somebody else, and paths in entries are opened and removed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, overload

from schemas import names
from schemas.table import MAIN, arrow_schema

if TYPE_CHECKING:
    import fsspec
    import pyarrow as pa

MERGED = "merged"
"""The folder of a stage's lists, and what their entries give as work."""

KEYS = {"work": "string", "key": "string"}
"""Columns of a file of keys; those of a work are a row group."""

_KEYS_FILE = re.compile(r"\d+-[0-9a-f]+\.keys")
_REPLACED_FILE = re.compile(r"\d+-[0-9a-f]+\.replaced")

USAGE = (
    "requests",
    "retries",
    "replayed",
    "prompt_tokens",
    "completion_tokens",
    "engine_s",
    "latency_ms_sum",
    "latency_ms_max",
    "slots_sum",
    "slots_samples",
    "replayed_prompt_tokens",
    "replayed_completion_tokens",
)
"""What an entry says of the engine's use: counts and sums, so that entries add up."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A committed Parquet file; `path` is relative to the run, `form` that of its table when it
    was written ("" of files from before forms were noted)."""

    path: str
    rows: int
    form: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit, or what many have become.

    work: the bucket of items it belongs to; part: its number among the commits of that bucket.
    keys: the items it settles; those of a list are read when they are asked for.
    files: by table. retry: whether the items are failures that the next run should try again.
    usage: what the engine was asked since the process's last commit, by name.
    variant: the one whose settings the items were done with.
    """

    stage: str
    work: str
    part: int
    keys: Sequence[str]
    files: dict[str, DataFile]
    retry: bool = False
    usage: dict[str, float] = field(default_factory=dict)
    variant: str = MAIN

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes, path: str) -> Entry:
        """Read an entry.

        Args:
            text: what its file holds. path: of the file, for messages.

        Raises:
            BadControlFile: it is no entry, or holds a name that could lead out of the run.
        """
        return _entry(_loaded(text, path), path)


class StoredKeys(Sequence[str]):
    """Keys in a Parquet file with the columns of `KEYS`.

    Args:
        path: of the file. size: how many there are. works: those they belong to, in its order.
    """

    def __init__(
        self, fs: fsspec.AbstractFileSystem, path: str, size: int, works: Sequence[str]
    ) -> None:
        self._fs = fs
        self.path = path
        self.size = size
        self.works = tuple(works)

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[str]:
        yield from self.table()["key"].to_pylist()

    def table(self) -> pa.Table:
        """All of them, with their works."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        data = pa.BufferReader(self._fs.cat_file(self.path))
        return pq.read_table(data, schema=arrow_schema(KEYS))

    def of(self, work: str) -> list[str]:
        """The keys of a work."""
        if work not in self.works:
            return []
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(pa.BufferReader(self._fs.cat_file(self.path)))
        keys: list[str] = file.read_row_group(self.works.index(work), ["key"])["key"].to_pylist()
        return keys


Range = tuple[int, int]
"""Numbers of commits in a row: the first and the last."""


@dataclass(frozen=True, slots=True)
class EntryList:
    """What many commits of a stage have become.

    number: it stands for the lists of smaller numbers as well.
    covers: the commits that it stands for, by work.
    entries: their keys are `StoredKeys`, in files beside the list.
    replaced: the name of a file beside it: paths of the data files that it made superfluous.
    """

    number: int
    covers: Mapping[str, Sequence[Range]]
    entries: Sequence[Entry]
    replaced: str

    def does_cover(self, work: str, part: int) -> bool:
        return any(first <= part <= last for first, last in self.covers.get(work, ()))

    def keys(self, work: str) -> set[str]:
        """The keys of a work that its commits settled."""
        return {key for entry in self.entries for key in _keys_of(entry).of(work)}

    def beside(self) -> set[str]:
        """The names of the files beside it that it needs."""
        return {_keys_of(entry).path.rpartition("/")[2] for entry in self.entries} | {self.replaced}

    def to_json(self) -> bytes:
        entries = [_listed(entry) for entry in self.entries]
        plain = {"covers": self.covers, "entries": entries, "replaced": self.replaced}
        return json.dumps(plain, sort_keys=True).encode()

    @classmethod
    def from_json(cls, fs: fsspec.AbstractFileSystem, path: str, text: bytes) -> EntryList:
        """Read the list that lies at a path.

        Raises:
            BadControlFile: it is no list, or holds a name that could lead out of the run.
        """
        plain = _loaded(text, path)
        beside, _, name = path.rpartition("/")
        try:
            covers = {
                names.matched(names.WORK, work, path, "the bucket"): [
                    (names.whole(a, path, "a commit"), names.whole(b, path, "a commit"))
                    for a, b in ranges
                ]
                for work, ranges in plain["covers"].items()
            }
            entries = []
            for part, entry in enumerate(plain["entries"]):
                file, size, works = entry["keys"]
                where = f"{beside}/{names.matched(_KEYS_FILE, file, path, 'the file of keys')}"
                stored = StoredKeys(
                    *(fs, where, names.whole(size, path, "a number of keys")),
                    [names.matched(names.WORK, work, path, "the bucket") for work in works],
                )
                entries.append(_entry({**entry, "work": MERGED, "part": part}, path, stored))
            replaced = names.matched(_REPLACED_FILE, plain["replaced"], path, "the file")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            _refuse(error, path)
        return cls(int(name.removesuffix(".json")), covers, entries, replaced)


def _loaded(text: bytes, path: str) -> Mapping[str, Any]:
    """The JSON object that a control file holds."""
    try:
        return names.record(json.loads(text), path)
    except (ValueError, RecursionError) as error:
        _refuse(error, path)


def _refuse(error: Exception, path: str) -> NoReturn:
    """Refuse a control file that could not be read, for the reason that is known already if any."""
    if isinstance(error, names.BadControlFile):
        raise error
    names.refused(path, f"is no entry of a manifest ({type(error).__name__}: {error})")


def _entry(plain: Mapping[str, Any], path: str, keys: Sequence[str] | None = None) -> Entry:
    """Read an entry of a file, or of a list in a file, whose keys are read already."""
    try:
        files = {
            table: DataFile(
                **{
                    **file,
                    "path": names.data_path(file["path"], path, table),
                    "rows": names.whole(file["rows"], path, "a number of rows"),
                }
            )
            for table, file in plain["files"].items()
        }
        entry = Entry(
            **{**plain, "keys": tuple(plain["keys"]) if keys is None else keys, "files": files}
        )
        is_plain = all(isinstance(file.form, str) for file in files.values())
        if not is_plain or not isinstance(entry.retry, bool) or not _is_usage(entry.usage):
            names.refused(path, "holds a value of another type than entries have")
        if keys is None and not all(isinstance(key, str) for key in entry.keys):
            names.refused(path, "holds a key that is no text")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _refuse(error, path)
    names.matched(names.STAGE, entry.stage, path, "the stage")
    names.matched(names.VARIANT, entry.variant, path, "the variant")
    names.matched(names.WORK, entry.work, path, "the bucket")
    names.whole(entry.part, path, "the number of a commit")
    return entry


def _is_usage(usage: object) -> bool:
    return isinstance(usage, dict) and all(
        isinstance(name, str) and isinstance(value, int | float) and math.isfinite(value)
        for name, value in usage.items()
    )


def replaced_files(text: bytes, path: str) -> list[str]:
    """Read the paths of data files that a list made superfluous.

    Args:
        text, path: of the file beside the list that `EntryList.replaced` names.

    Raises:
        BadControlFile: it is no list of paths of data files.
    """
    try:
        return [names.data_path(each, path) for each in json.loads(text)]
    except (TypeError, ValueError, RecursionError) as error:
        _refuse(error, path)


def _keys_of(entry: Entry) -> StoredKeys:
    """The keys of an entry of a list."""
    if not isinstance(entry.keys, StoredKeys):
        raise TypeError(f"{entry} is none of a list")
    return entry.keys


def _listed(entry: Entry) -> dict[str, Any]:
    """An entry as lists hold it."""
    keys = _keys_of(entry)
    return {
        "stage": entry.stage,
        "variant": entry.variant,
        "usage": entry.usage,
        "files": {table: asdict(file) for table, file in entry.files.items()},
        "keys": [keys.path.rpartition("/")[2], keys.size, keys.works],
    }
