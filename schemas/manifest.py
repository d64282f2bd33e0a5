"""The manifest of a run: which Parquet files count, and which items they settle.

A stage commits by writing data files first and then one manifest entry that names them. Only
files that an entry names count; whatever else a crash left behind is swept at the next start.
Entries live at `<run>/_manifest/iteration=<t>/<stage>/<work>.<part>.json`, those of another
variant than the main one in `<stage>@<variant>/`. One that is taken back leaves a mark,
`<work>.<part>.gone`: what is written under its name later does not count.

Many entries of a stage become few in a list, `<stage>/merged/<number>.json`. Of a stage's lists the
one of the highest number counts, and entries that it covers do not.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.entries import MERGED, Entry, EntryList
from schemas.table import MAIN

if TYPE_CHECKING:
    import fsspec

FOLDER = "_manifest"

GONE = ".gone"

SETTINGS = ".settings"
"""What a stage's settings are kept in, beside its folder and under the folder's name."""

_ENTRY = re.compile(r"(iteration=\d+/[^/]+)/([^/]+)\.(\d+)(\.json|\.gone)")
_LIST = re.compile(rf"(iteration=\d+/[^/]+)/{MERGED}/(\d+)\.json")
_TRIES = 10


def folder(stage: str, variant: str = MAIN) -> str:
    """The folder of a stage's entries in a variant."""
    return stage if variant == MAIN else f"{stage}@{variant}"


def named(folder: str) -> tuple[str, str]:
    """The stage and the variant that a folder is of, by its name."""
    stage, _, variant = folder.partition("@")
    return stage, variant or MAIN


def iteration_of(path: str) -> int:
    """The iteration of an entry, by its path."""
    return int(path.rpartition("/iteration=")[2].partition("/")[0])


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's name: its work, and its number among those of that work."""

    work: str
    part: int


@dataclass(slots=True)
class Held:
    """What lies in a stage's folder, by the names alone.

    entries: paths. gone: commits that were taken back. lists: paths by number.
    """

    entries: dict[Commit, str] = field(default_factory=dict)
    gone: dict[Commit, str] = field(default_factory=dict)
    lists: dict[int, str] = field(default_factory=dict)

    def counting(self, latest: EntryList | None) -> dict[Commit, str]:
        """Paths of the entries that count beside the latest list."""
        return {
            commit: path
            for commit, path in self.entries.items()
            if commit not in self.gone
            and not (latest and latest.does_cover(commit.work, commit.part))
        }


def held(
    fs: fsspec.AbstractFileSystem,
    root: str,
    iteration: int | None = None,
    stage: str | None = None,
    begins: str = "",
) -> dict[str, Held]:
    """What there is, by the folder of an iteration's stage: `iteration=<t>/<stage>`.

    Args:
        fs, root: the run, as `fsspec.core.url_to_fs` gives it.
        iteration, stage: only these; None for all. A stage is named as its folder is.
        begins: how the names of entries begin, where the stage and its iteration are named.
    """
    base = f"{root}/{FOLDER}"
    at = base if iteration is None else f"{base}/iteration={iteration}"
    at = at if iteration is None or stage is None else f"{at}/{stage}"
    paths = [*_paths(fs, at, begins), *(_paths(fs, f"{at}/{MERGED}") if begins else ())]
    found = _by_folder(base, paths)
    return {at: of for at, of in found.items() if stage is None or at.endswith(f"/{stage}")}


def _by_folder(base: str, paths: Iterable[str]) -> dict[str, Held]:
    found: dict[str, Held] = {}
    for path in paths:
        name = path[len(base) + 1 :]
        if listed := _LIST.fullmatch(name):
            found.setdefault(listed[1], Held()).lists[int(listed[2])] = path
        elif entry := _ENTRY.fullmatch(name):
            of = found.setdefault(entry[1], Held())
            commits = of.gone if entry[4] == GONE else of.entries
            commits[Commit(entry[2], int(entry[3]))] = path
    return found


def _paths(fs: fsspec.AbstractFileSystem, folder: str, begins: str = "") -> Iterator[str]:
    """Paths of the files in a folder whose names begin so; of all in it and below unless given."""
    if is_local(fs) and begins:  # every commit asks: no look at each file
        with contextlib.suppress(FileNotFoundError):
            yield from (f"{folder}/{n}" for n in os.listdir(folder) if n.startswith(begins))
    elif is_local(fs):  # without a look at each file, which fsspec takes
        for at, _, names in os.walk(folder):
            yield from (f"{at}/{name}" for name in names)
    else:
        fs.invalidate_cache(folder)
        yield from fs.find(folder, prefix=begins) if begins else fs.find(folder)


def read(
    fs: fsspec.AbstractFileSystem,
    root: str,
    iteration: int | None = None,
    stage: str | None = None,
) -> dict[str, Entry]:
    """Entries by their path, in the order of their names; those of lists by paths of their own.

    Args:
        fs, root, iteration, stage: as `held`.
    """
    for _ in range(_TRIES):
        try:
            return dict(sorted(_read(fs, held(fs, root, iteration, stage)).items()))
        except FileNotFoundError as error:  # gone since it was listed
            missing = error
    raise missing


def _read(fs: fsspec.AbstractFileSystem, folders: Mapping[str, Held]) -> dict[str, Entry]:
    latest = latest_lists(fs, folders)
    found = {
        f"{folders[at].lists[listed.number]}#{entry.part:06d}": entry
        for at, listed in latest.items()
        for entry in listed.entries
    }
    paths = [path for at, of in folders.items() for path in of.counting(latest.get(at)).values()]
    texts = contents(fs, paths)
    return found | {p: Entry.from_json(text, p) for p, text in zip(paths, texts, strict=True)}


def latest_lists(
    fs: fsspec.AbstractFileSystem, folders: Mapping[str, Held]
) -> dict[str, EntryList]:
    """Of each folder that has lists the one that counts."""
    paths = {at: of.lists[max(of.lists)] for at, of in folders.items() if of.lists}
    return dict(zip(paths, _lists(fs, list(paths.values())), strict=True))


def latest_list(
    fs: fsspec.AbstractFileSystem, root: str, iteration: int, stage: str
) -> EntryList | None:
    """The list of a stage that counts, without a look at the stage's entries."""
    base, at = f"{root}/{FOLDER}", f"iteration={iteration}/{stage}"
    return latest_lists(fs, _by_folder(base, _paths(fs, f"{base}/{at}/{MERGED}"))).get(at)


def lists(fs: fsspec.AbstractFileSystem, of: Held) -> dict[int, EntryList]:
    """All lists of a folder by their numbers."""
    return dict(zip(of.lists, _lists(fs, list(of.lists.values())), strict=True))


def _lists(fs: fsspec.AbstractFileSystem, paths: Sequence[str]) -> list[EntryList]:
    texts = contents(fs, paths)
    return [EntryList.from_json(fs, p, text) for p, text in zip(paths, texts, strict=True)]


def contents(fs: fsspec.AbstractFileSystem, paths: Sequence[str]) -> list[bytes]:
    """What files hold, many at once where the file system can."""
    if not paths:
        return []
    texts: list[bytes] = fs.cat_ranges(list(paths), None, None, on_error="raise")
    return texts


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether files lie on a disk of this machine, at their bare paths."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
