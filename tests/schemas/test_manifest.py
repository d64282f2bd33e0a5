"""Manifest entries: found, by iteration and stage."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from schemas import manifest
from schemas.entries import DataFile, Entry

FS = fsspec.filesystem("file")


def entry(stage: str = "s", work: str = "w", part: int = 0, *, retry: bool = False) -> Entry:
    files = {"prompts": DataFile("prompts/iteration=1/x.parquet", 2)}
    return Entry(stage, work, part, ("a", 'b"é'), files, retry)


def put(root: Path, iteration: int, what: Entry) -> str:
    folder = root / manifest.FOLDER / f"iteration={iteration}" / what.stage
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what.work}.{what.part}.json"
    path.write_bytes(what.to_json())
    return str(path)


def test_run_without_a_manifest_has_no_entries(tmp_path: Path) -> None:
    assert manifest.read(FS, str(tmp_path / "none")) == {}


def test_entries_are_found_by_iteration_and_stage(tmp_path: Path) -> None:
    entries = {
        put(tmp_path, 1, entry("s", "w", 0)): entry("s", "w", 0),
        put(tmp_path, 1, entry("s", "w", 1)): entry("s", "w", 1),
        put(tmp_path, 1, entry("t")): entry("t"),
        put(tmp_path, 11, entry("s")): entry("s"),
    }
    paths = sorted(entries)
    root = str(tmp_path)
    assert manifest.read(FS, root) == entries
    assert list(manifest.read(FS, root)) == paths
    assert list(manifest.read(FS, root, 1)) == [p for p in paths if "iteration=1/" in p]
    assert list(manifest.read(FS, root, 1, "t")) == [p for p in paths if "/t/" in p]
    assert list(manifest.read(FS, root, stage="s")) == [p for p in paths if "/s/" in p]
    assert manifest.read(FS, root, 2) == {}


def test_files_that_are_no_entries_are_passed_over(tmp_path: Path) -> None:
    path = put(tmp_path, 1, entry())
    (Path(path).parent / "w.1.json.7-7.tmp").write_text("{half")
    (Path(path).parent.parent / "s.settings").write_text("{}")
    assert list(manifest.read(FS, str(tmp_path))) == [path]


@pytest.mark.parametrize("name", ["it's", "run[1]", "a*b", "a b"])
def test_entries_are_found_in_a_run_of_any_name(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name, 1, entry())
    assert list(manifest.read(FS, str(tmp_path / name))) == [path]


def test_name_with_a_star_is_that_run_alone(tmp_path: Path) -> None:
    put(tmp_path / "ab", 1, entry())
    assert manifest.read(FS, str(tmp_path / "a*")) == {}
