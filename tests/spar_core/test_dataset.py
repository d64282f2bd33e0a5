"""Commits: whole or not at all, once and never twice."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from schemas.failures import Failure
from schemas.prompts import Prompt
from spar_core import dataset as module
from spar_core.dataset import Dataset, Settled
from spar_core.variants import hold
from terminal.exits import InputError


@pytest.fixture(params=["local", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "run")
        return
    name = f"/{uuid.uuid4().hex}"
    yield f"memory:/{name}"
    fs = fsspec.filesystem("memory")
    if fs.exists(name):
        fs.rm(name, recursive=True)


def done(*keys: str) -> list[Settled]:
    return [Settled(key, {"prompts": [Prompt(key, f"text of {key}", "f:1", 0)]}) for key in keys]


def failed(*keys: str) -> list[Settled]:
    return [
        Settled(key, {"failures": [Failure("s", key, "engine_error", "", 5, "")]}, retry=True)
        for key in keys
    ]


def rows(dataset: Dataset, table: str = "prompts") -> list[str]:
    """The keys in the committed files of a table."""
    column = {"prompts": "prompt_id", "failures": "key"}[table]
    found: list[str] = []
    for entry in dataset.entries().values():
        if table in entry.files:
            with dataset.fs.open(f"{dataset.root}/{entry.files[table].path}") as file:
                read = pq.read_table(file).column(column).to_pylist()
            assert len(read) == entry.files[table].rows
            found += read
    return sorted(found)


def files(dataset: Dataset) -> dict[str, tuple[Any, ...]]:
    """Every file of the run with its content, and its time where the file system has one."""
    found = {}
    for path in dataset.fs.find(dataset.root):
        info = dataset.fs.info(path)
        found[path] = (dataset.fs.cat_file(path), info.get("mtime"), info.get("ino"))
    return found


def put(dataset: Dataset, path: str, data: bytes = b"half") -> str:
    full = f"{dataset.root}/{path}"
    dataset.fs.makedirs(full.rpartition("/")[0], exist_ok=True)
    dataset.fs.pipe_file(full, data)
    return full


def test_empty_run_has_no_entries(run: str) -> None:
    assert Dataset(run, 1).entries() == {}


def test_committed_items_are_read_back(run: str) -> None:
    dataset = Dataset(run, 1)
    assert dataset.commit("s", "w", done("a", "b")) == 2
    assert dataset.commit("s", "w", done("c")) == 1
    assert rows(dataset) == ["a", "b", "c"]
    assert [entry.keys for entry in dataset.entries("s").values()] == [("a", "b"), ("c",)]
    assert dataset.entries("other") == {}
    assert Dataset(run, 2).entries() == {}


def test_item_without_rows_is_settled(run: str) -> None:
    dataset = Dataset(run, 1)
    assert dataset.commit("s", "w", [Settled("a", {}), Settled("b", {"prompts": []})]) == 2
    [entry] = dataset.entries().values()
    assert entry.keys == ("a", "b") and entry.files == {}


def test_committing_again_does_nothing(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", done("a", "b"))
    before = files(dataset)
    assert dataset.commit("s", "w", done("b", "a")) == 0
    assert Dataset(run, 1).commit("s", "w", done("a")) == 0
    assert dataset.commit("s", "w", []) == 0
    assert files(dataset) == before


def test_same_items_give_the_same_files_elsewhere(run: str, tmp_path: Path) -> None:
    one, other = Dataset(run, 1), Dataset(str(tmp_path / "other"), 1)
    for dataset in (one, other):
        dataset.commit("s", "w", done("a", "b"))
    contents = [
        {path.removeprefix(d.root): content for path, (content, *_) in files(d).items()}
        for d in (one, other)
    ]
    assert contents[0] == contents[1]


def test_of_overlapping_items_only_the_fresh_are_committed(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", done("a", "b"))
    assert dataset.commit("s", "w", done("b", "c")) == 1
    assert rows(dataset) == ["a", "b", "c"]


def test_use_of_the_engine_goes_into_one_entry_of_a_commit(run: str) -> None:
    dataset = Dataset(run, 1)
    used = {"requests": 3.0, "engine_s": 0.5}
    assert dataset.commit("s", "w", [*failed("a"), *done("b", "c")], used) == 3
    assert dataset.commit("s", "v", failed("d"), used) == 1
    assert dataset.commit("s", "u", done("e")) == 1
    usages = {entry.keys: entry.usage for entry in dataset.entries().values()}
    assert usages == {("b", "c"): {}, ("a",): used, ("d",): used, ("e",): {}}


def test_threads_racing_on_a_batch_settle_every_key_once(run: str) -> None:
    keys = [f"k{i}" for i in range(12)]
    shares = [keys[:8], keys[4:], keys[:8], keys]
    works = [f"w{turn}" for turn in range(5)]
    start = threading.Barrier(len(shares))
    counts: list[int] = []

    def worker(share: list[str]) -> None:
        for work in works:
            start.wait()
            counts.append(Dataset(run, 1).commit("s", work, done(*share)))

    threads = [threading.Thread(target=worker, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == len(keys) * len(works) and len(counts) == len(shares) * len(works)
    settled = [key for entry in Dataset(run, 1).entries().values() for key in entry.keys]
    assert sorted(settled) == sorted(keys * 5)
    assert rows(Dataset(run, 1)) == sorted(keys * 5)


def test_sweep_takes_what_no_entry_names_and_nothing_else(run: str) -> None:
    dataset, other = Dataset(run, 1), Dataset(run, 2)
    dataset.commit("s", "w", done("a"))
    other.commit("s", "w", done("z"))
    hold(dataset, "s", {"x": 1})
    before = files(dataset)
    orphans = [
        put(dataset, "prompts/iteration=1/s-w-1-0123456789.parquet"),
        put(dataset, "prompts/iteration=1/s-w-0-0123456789.parquet.77-1.tmp"),
        put(dataset, "nodes/iteration=1/s-w-0-0123456789.parquet"),
        put(dataset, "_manifest/iteration=1/s/w.1.json.77-1.tmp"),
    ]
    strangers = [put(dataset, "prompts/iteration=2/s-w-9-0.parquet"), put(dataset, "notes.txt")]
    dataset.sweep()
    left = files(dataset)
    assert not set(orphans) & set(left)
    assert set(left) == {*before, *strangers}
    assert {path: left[path] for path in before} == before


def test_sweep_takes_the_scratch_of_settings(run: str) -> None:
    dataset = Dataset(run, 1)
    hold(dataset, "s", {"x": 1})
    before = files(dataset)
    put(dataset, "_manifest/iteration=1/s.settings.77-1.tmp")
    dataset.sweep()
    assert files(dataset) == before


@pytest.mark.parametrize("name", ["it's", 'a "b" c', "ü%20 #1", "run[1]", "x*y?", "a=b", "{x,y}"])
def test_run_of_any_name_keeps_what_is_committed(tmp_path: Path, name: str) -> None:
    dataset = Dataset(str(tmp_path / name), 1)
    dataset.commit("s", "w", done("a"))
    before = files(dataset)
    dataset.sweep()
    assert files(dataset) == before
    assert rows(dataset) == ["a"]


def test_orphans_of_a_crash_do_not_hinder_the_next_commit(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(run, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "create", crash)
        with pytest.raises(KeyboardInterrupt):
            dataset.commit("s", "w", done("a"))
    assert dataset.entries() == {}
    assert [path for path in files(dataset) if path.endswith(".parquet")]
    assert dataset.commit("s", "w", done("a")) == 1
    assert rows(dataset) == ["a"]


def crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("broken", ["fsync", "replace", "link"])
def test_full_disk_leaves_nothing_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    dataset = Dataset(str(tmp_path), 1)
    dataset.commit("s", "w", done("a"))
    before = files(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(os, broken, full)
        with pytest.raises(OSError, match="No space left"):
            dataset.commit("s", "w", done("b"))
    assert [entry.keys for entry in dataset.entries().values()] == [("a",)]
    assert rows(dataset) == ["a"]
    dataset.sweep()
    assert files(dataset) == before
    assert dataset.commit("s", "w", done("b")) == 1


def test_object_store_that_fails_leaves_nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(f"memory://{uuid.uuid4().hex}", 1)
    with monkeypatch.context() as patch:
        patch.setattr(type(dataset.fs), "pipe_file", full)
        with pytest.raises(OSError, match="No space left"):
            dataset.commit("s", "w", done("a"))
    assert dataset.entries() == {}
    assert dataset.commit("s", "w", done("a")) == 1


@pytest.mark.parametrize("limit", [100, 1000, 2000])
def test_file_size_limit_leaves_nothing_counted(tmp_path: Path, limit: int) -> None:
    script = f"""
import resource, signal
from tests.spar_core.test_dataset import Dataset, done
dataset = Dataset({str(tmp_path)!r}, 1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    dataset.commit("s", "w", done(*[f"key {{i}}" for i in range(300)]))
except OSError:
    print("failed")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "failed\n"
    dataset = Dataset(str(tmp_path), 1)
    assert dataset.entries() == {}
    assert not [path for path in files(dataset) if path.endswith(".tmp")]
    dataset.sweep()
    assert files(dataset) == {}


def test_items_to_retry_have_an_entry_of_their_own(run: str) -> None:
    dataset = Dataset(run, 1)
    assert dataset.commit("s", "w", [*failed("b"), *done("a"), *failed("c")]) == 3
    assert {e.keys: e.retry for e in dataset.entries().values()} == {
        ("a",): False,
        ("b", "c"): True,
    }
    assert rows(dataset) == ["a"] and rows(dataset, "failures") == ["b", "c"]


def retries(dataset: Dataset) -> list[str]:
    return [path for path, entry in dataset.entries().items() if entry.retry]


def test_retracted_items_can_be_committed_again(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", [*done("a"), *failed("b")])
    assert dataset.commit("s", "w", done("b")) == 0, "a failure is settled until it is retracted"
    dataset.retract(retries(dataset))
    assert rows(dataset) == ["a"] and rows(dataset, "failures") == []
    assert not [path for path in files(dataset) if "/failures/" in path], "its file is swept"
    assert dataset.commit("s", "w", done("a", "b")) == 1
    assert rows(dataset) == ["a", "b"]


@pytest.mark.parametrize("where", ["../victim", "prompts/iteration=1/../../../victim"])
def test_entry_that_names_a_file_outside_the_run_removes_nothing(run: str, where: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", failed("a"))
    victim = put(dataset, "../victim", b"not of the run")
    [path] = dataset.entries()
    plain = json.loads(dataset.fs.cat_file(path))
    plain["files"]["failures"]["path"] = where
    dataset.fs.pipe_file(path, json.dumps(plain).encode())
    for act in (
        lambda: dataset.retract([path]),
        dataset.sweep,
        dataset.entries,
        lambda: dataset.commit("s", "w", done("b")),
    ):
        with pytest.raises(InputError, match=r"w\.0\.json names the data file"):
            act()
    assert dataset.fs.cat_file(victim) == b"not of the run"


@pytest.mark.parametrize("link", ["prompts", "prompts/iteration=1"])
def test_nothing_is_removed_behind_a_link_out_of_the_run(tmp_path: Path, link: str) -> None:
    dataset = Dataset(str(tmp_path / "run"), 1)
    dataset.commit("s", "w", failed("a"))
    folder = tmp_path / "elsewhere" / ("iteration=1" if link == "prompts" else "")
    folder.mkdir(parents=True)
    (folder / "letter.parquet").write_text("dear")
    place = tmp_path / "run" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of the run"):
        dataset.sweep()
    assert (folder / "letter.parquet").read_text() == "dear"


@pytest.mark.parametrize("said", [b"", b"0", b"-1", b"99999999", b"1e3", b"many", b"16\n"])
def test_number_of_buckets_that_no_job_writes_is_refused(run: str, said: bytes) -> None:
    dataset = Dataset(run, 1)
    assert dataset.buckets("s", "main", 16) == 16
    put(dataset, "_manifest/iteration=1/s.buckets", said)
    with pytest.raises(InputError, match=r"s\.buckets holds"):
        dataset.buckets("s", "main", 16)


def test_retracting_nothing_changes_nothing(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", done("a"))
    before = files(dataset)
    dataset.retract([])
    assert files(dataset) == before


def test_nothing_is_twice_after_a_retraction_in_the_middle(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", [*done("a"), *failed("b")])
    dataset.commit("s", "w", done("c"))
    dataset.retract(retries(dataset))
    assert dataset.commit("s", "w", done("a", "b", "c")) == 1
    assert rows(dataset) == ["a", "b", "c"]


def test_dataset_travels_to_other_processes(run: str) -> None:
    dataset = Dataset(run, 3)
    dataset.commit("s", "w", done("a"))
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset and rows(copy) == ["a"]


def test_work_in_a_relative_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Dataset("runs/x", 1).commit("s", "w", done("a"))
    assert rows(Dataset(f"file://{os.fspath(tmp_path)}/runs/x/", 1)) == ["a"]


def test_use_is_written_once_also_where_nothing_is_fresh(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", done("a"))
    assert dataset.commit("s", "w", done("a"), {"requests": 3.0, "retries": 0.0}) == 0
    assert dataset.commit("s", "w", [], {"requests": 2.0}) == 0
    assert dataset.commit("s", "w", [], {"requests": 0.0}) == 0
    entries = list(dataset.entries().values())
    assert [(e.keys, e.usage.get("requests")) for e in entries] == [
        (("a",), None),
        ((), 3.0),
        ((), 2.0),
    ]
    assert rows(dataset) == ["a"]


def test_no_use_is_written_where_a_commit_fails(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, create, calls = Dataset(run, 1), Dataset.create, []

    def second_fails(self: Dataset, path: str, data: bytes) -> bool:
        calls.append(path)
        if len(calls) == 2:
            full()
        return create(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "create", second_fails)
        with pytest.raises(OSError, match="No space left"):
            dataset.commit("s", "w", [*done("a"), *failed("b")], {"requests": 3.0})
    assert [e.usage for e in dataset.entries().values()] == [{}]
    assert dataset.commit("s", "w", [*done("a"), *failed("b")], {"requests": 3.0}) == 1
    assert sum(e.usage.get("requests", 0) for e in dataset.entries().values()) == 3


def test_settled_items_are_those_of_the_bucket(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "b1", [*done("a"), *failed("b")])
    dataset.commit("s", "b10", done("c"))
    dataset.commit("s", "b1", done("d"), variant="x")
    assert dataset.settled("s", "main", "b1") == {"a", "b"}
    assert dataset.settled("s", "x", "b1") == {"d"}
    assert dataset.settled("s", "main", "b2") == set()


def test_the_first_says_how_many_buckets_there_are(run: str) -> None:
    assert Dataset(run, 1).buckets("s", "main", 16) == 16
    assert Dataset(run, 1).buckets("s", "main", 64) == 16
    assert Dataset(run, 1).buckets("s", "x", 64) == 64


def test_rows_of_an_variant_bear_its_name(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", failed("a"), variant="x")
    dataset.commit("s", "w", failed("a"))
    held = {}
    for entry in dataset.entries().values():
        with dataset.fs.open(f"{dataset.root}/{entry.files['failures'].path}") as file:
            held[entry.variant] = pq.read_table(file).column("variant").to_pylist()
    assert held == {"x": ["x"], "main": ["main"]}


def test_a_name_that_was_taken_back_is_never_used_again(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer of an old plan that listed the bucket before a retraction commits nothing twice."""
    old, new = Dataset(run, 1), Dataset(run, 1)
    new.commit("s", "w", [*done("a"), *failed("b")])
    create = Dataset.create

    def meanwhile(self: Dataset, path: str, data: bytes) -> bool:
        monkeypatch.setattr(Dataset, "create", create)
        new.retract(retries(new))
        assert new.commit("s", "w", done("b", "c")) == 2
        return create(self, path, data)

    monkeypatch.setattr(Dataset, "create", meanwhile)
    old.commit("s", "w", done("c"))
    assert rows(new) == ["a", "b", "c"]
    new.retract(list(new.entries()))
    new.commit("s", "w", done("a"))
    names = [path.rpartition("/")[2] for path in new.entries()]
    assert names == ["w.3.json"]


def test_young_files_are_not_swept(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "w", done("a"))
    stray = put(dataset, "prompts/iteration=1/s-w-1-0123456789.parquet")
    dataset.sweep(60)
    assert stray in files(dataset)
    dataset.sweep()
    assert stray not in files(dataset)


def test_what_is_named_while_files_are_listed_is_not_swept(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, entries = Dataset(run, 1), Dataset.entries

    def meanwhile(self: Dataset, *args: Any) -> dict[str, Any]:
        monkeypatch.setattr(Dataset, "entries", entries)
        Dataset(run, 1).commit("s", "w", done("a"))
        return entries(self, *args)

    put(dataset, "prompts/iteration=1/s-v-0-0123456789.parquet")
    monkeypatch.setattr(Dataset, "entries", meanwhile)
    dataset.sweep()
    assert rows(dataset) == ["a"]


def test_a_slow_commit_writes_its_files_again(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, write, written = Dataset(run, 1), Dataset._write, []

    def noted(self: Dataset, *args: Any) -> Any:
        written.append(args)
        monkeypatch.setattr(module, "WRITE_S", -1.0 if len(written) < 2 else 60.0)
        return write(self, *args)

    monkeypatch.setattr(Dataset, "_write", noted)
    assert dataset.commit("s", "w", done("a")) == 1
    assert len(written) == 2
    assert rows(dataset) == ["a"]


def test_entries_of_early_runs_count(run: str) -> None:
    dataset = Dataset(run, 1)
    dataset.commit("s", "0f3a9c2b1d4e", done("a"))
    [path] = dataset.entries()
    plain = json.loads(dataset.fs.cat_file(path))
    del plain["variant"]
    dataset.fs.pipe_file(path, json.dumps(plain).encode())
    [entry] = dataset.entries("s").values()
    assert (entry.keys, entry.variant) == (("a",), "main")
