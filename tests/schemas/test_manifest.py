"""Manifest entries: written, read and found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import fsspec
import pytest

from pipelines.execution.metrics import account
from schemas import manifest
from schemas.manifest import DataFile, Entry
from spar_core.engine.meter import Usage

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


@pytest.mark.parametrize("retry", [True, False])
def test_entry_is_read_back(retry: bool) -> None:
    assert Entry.from_json(entry(retry=retry).to_json()) == entry(retry=retry)


def test_entry_without_files_is_read_back() -> None:
    empty = Entry("s", "w", 1, (), {})
    assert Entry.from_json(empty.to_json()) == empty


def test_use_of_the_engine_is_read_back() -> None:
    used = dataclasses.replace(entry(), usage={"requests": 3, "engine_s": 0.125})
    assert Entry.from_json(used.to_json()) == used


def test_entry_written_before_use_was_counted_is_read() -> None:
    plain = json.loads(entry().to_json())
    del plain["usage"]
    assert Entry.from_json(json.dumps(plain).encode()) == entry()


def test_what_stages_account_for_is_what_an_entry_says() -> None:
    assert tuple(account(Usage())) == manifest.USAGE
    assert set(account(Usage()).values()) == {0}


def test_account_sums_what_a_meter_took() -> None:
    usage = Usage(3, 1, 2, 40, 50, 1.23456, [10, 30, 20], [5, 3, 1], 20, 25)
    assert list(account(usage).values()) == [3, 1, 2, 40, 50, 1.235, 60, 30, 9, 3, 20, 25]


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
