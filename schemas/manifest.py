"""The manifest of a run: which Parquet files count, and which items they settle.

A stage commits by writing data files first and then one manifest entry that names them. Only
files that an entry names count; whatever else a crash left behind is swept at the next start.
Entries live at `<run>/_manifest/iteration=<t>/<stage>/<work>.<part>.json`, those of another
variant than the main one in `<stage>@<variant>/`.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import fsspec

from schemas.table import MAIN

FOLDER = "_manifest"

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
    """One commit.

    work: the bucket of items it belongs to; part: its number among the commits of that bucket.
    keys: the items it settles. files: by table. retry: whether the items are failures that the
    next run should try again.
    usage: what the engine was asked since the process's last commit, by name.
    variant: the one whose settings the items were done with.
    """

    stage: str
    work: str
    part: int
    keys: tuple[str, ...]
    files: dict[str, DataFile]
    retry: bool = False
    usage: dict[str, float] = field(default_factory=dict)
    variant: str = MAIN

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Entry:
        plain = json.loads(text)
        files = {table: DataFile(**file) for table, file in plain["files"].items()}
        return cls(**{**plain, "keys": tuple(plain["keys"]), "files": files})


def folder(stage: str, variant: str = MAIN) -> str:
    """The folder of a stage's entries in a variant."""
    return stage if variant == MAIN else f"{stage}@{variant}"


def iteration_of(path: str) -> int:
    """The iteration of an entry, by its path."""
    return int(path.rpartition("/iteration=")[2].partition("/")[0])


def read(
    fs: fsspec.AbstractFileSystem,
    root: str,
    iteration: int | None = None,
    stage: str | None = None,
) -> dict[str, Entry]:
    """Entries by their path, in the order of their names.

    Args:
        fs, root: the run, as `fsspec.core.url_to_fs` gives it.
        iteration, stage: only these; None for all. A stage is named as its folder is.
    """
    base = f"{glob.escape(root)}/{FOLDER}"
    held = f"{base}/{'*' if iteration is None else f'iteration={iteration}'}"
    paths: Sequence[str] = sorted(fs.glob(f"{held}/{stage or '*'}/*.json"))
    if not paths:
        return {}
    texts = fs.cat_ranges(list(paths), None, None, on_error="raise")
    return {path: Entry.from_json(text) for path, text in zip(paths, texts, strict=True)}
