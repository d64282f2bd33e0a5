"""Merging of commits: the same rows, once, whoever reads, writes, merges or is killed meanwhile."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from schemas import TABLES, manifest
from schemas.views import connect
from spar_core import dataset as dataset_module
from spar_core import merging
from spar_core.dataset import Dataset, Settled
from spar_core.merging import merge
from spar_core.variants import is_begun
from tests.spar_core.test_dataset import done, failed, files, retries, rows

BUCKETS = ("b1", "b10", "b2")


@pytest.fixture(params=["local", "memory", "gcs"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = uuid.uuid4().hex
    if request.param == "local":
        yield str(tmp_path / "run")
    elif request.param == "gcs":
        yield f"{request.getfixturevalue('bucket')}/{name}"
    else:
        yield f"memory://{name}"
        fs = fsspec.filesystem("memory")
        if fs.exists(f"/{name}"):
            fs.rm(f"/{name}", recursive=True)


def written(run: str, commits: int = 12) -> Dataset:
    """A run of so many commits of one item and one failure to be tried again."""
    dataset = Dataset(run, 1)
    for number in range(commits):
        dataset.commit("s", BUCKETS[number % 3], done(f"k{number:02}"), {"requests": 1.0})
    dataset.commit("s", "b1", failed("f"))
    return dataset


def keys(commits: int = 12) -> list[str]:
    return [f"k{number:02}" for number in range(commits)]


def settled(dataset: Dataset) -> list[str]:
    return sorted(key for entry in dataset.entries("s").values() for key in entry.keys)


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there now is older than any reader or writer."""
    monkeypatch.setattr(dataset_module, "SWEEP_AGE_S", -1.0)


def lists(dataset: Dataset) -> list[int]:
    return sorted(dataset.held("s")[0].lists)


def test_merged_commits_are_few_and_hold_the_same(run: str) -> None:
    dataset = written(run)
    assert merge(dataset, "s") == 12
    entries = dataset.entries("s")
    assert len(entries) == 2, "all that is done, and the failure"
    assert rows(dataset) == keys() and rows(dataset, "failures") == ["f"]
    assert settled(dataset) == ["f", *keys()]
    assert dataset.settled("s", "main", "b1") == {"f", "k00", "k03", "k06", "k09"}
    assert dataset.settled("s", "main", "b10") == {"k01", "k04", "k07", "k10"}
    assert sum(entry.usage.get("requests", 0) for entry in entries.values()) == 12
    assert is_begun(dataset, "s", "main")
    with connect(run) as connection:
        assert connection.sql("from prompts select prompt_id order by 1").fetchall() == [
            (key,) for key in keys()
        ]


def test_too_few_commits_stay(run: str) -> None:
    dataset = written(run)
    before = files(dataset)
    assert merge(dataset, "s", least=14) == 0
    assert merge(dataset, "t") == 0
    assert files(dataset) == before


def test_merging_again_changes_nothing(run: str) -> None:
    dataset = written(run)
    merge(dataset, "s")
    before = files(dataset)
    assert merge(dataset, "s") == 0
    assert files(dataset) == before


def test_what_is_merged_is_not_committed_again(run: str) -> None:
    dataset = written(run)
    merge(dataset, "s")
    assert dataset.commit("s", "b1", done("k00", "new")) == 1
    assert rows(dataset) == [*keys(), "new"]


def test_lists_grow_by_what_comes_later(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = written(run)
    merge(dataset, "s")
    dataset.commit("s", "b1", done("x"))
    dataset.commit("s", "b7", done("y"), {"requests": 1.0})
    assert merge(dataset, "s") == 2
    assert lists(dataset) == [0, 1]
    age(monkeypatch)
    dataset.sweep()
    assert lists(dataset) == [1]
    assert rows(dataset) == [*keys(), "x", "y"]
    assert settled(dataset) == ["f", *keys(), "x", "y"]
    assert dataset.settled("s", "main", "b1") >= {"k00", "x"}


def test_large_merged_files_stay_as_they_are(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FILE_ROWS", 4)
    dataset = written(run)
    merge(dataset, "s")
    first = {f.path for e in dataset.entries("s").values() for f in e.files.values()}
    assert len(first) == 4, "three of four rows, and the failure's"
    dataset.commit("s", "b1", done("x"))
    dataset.commit("s", "b1", done("y"))
    merge(dataset, "s")
    assert {f.path for e in dataset.entries("s").values() for f in e.files.values()} > first
    assert rows(dataset) == [*keys(), "x", "y"]


def test_failures_are_taken_back_one_by_one(run: str) -> None:
    dataset = written(run)
    dataset.commit("s", "b2", failed("g"))
    merge(dataset, "s")
    assert len(retries(dataset)) == 2
    dataset.retract(retries(dataset)[:1])
    assert rows(dataset, "failures") == ["g"]
    assert dataset.commit("s", "b1", done("f")) == 1
    assert rows(dataset) == ["f", *keys()]


def test_early_files_and_failures_alone_stay(run: str) -> None:
    dataset = written(run, 3)
    [path] = [p for p, e in dataset.entries("s").items() if e.keys == ("k01",)]
    plain = dataset.fs.cat_file(path).replace(TABLES["prompts"].form.encode(), b"other")
    dataset.fs.pipe_file(path, plain)
    rejected = Settled("x", failed("x")[0].rows)
    dataset.commit("s", "failures-x", [rejected])
    assert merge(dataset, "s") == 2
    assert {e.work for e in dataset.entries("s").values()} == {"b10", "merged", "failures-x", "b1"}
    assert rows(dataset) == keys(3) and rows(dataset, "failures") == ["f", "x"]


def test_variants_are_merged_apart(run: str) -> None:
    dataset = written(run, 3)
    for key in ("x", "y"):
        dataset.commit("s", "b1", done(key), variant="v")
    assert merge(dataset, "s", "v") == 2
    found = {(e.variant, e.work) for e in dataset.entries().values()}
    assert found == {("v", "merged"), *(("main", bucket) for bucket in BUCKETS)}


def test_readers_of_the_old_files_are_not_disturbed(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = written(run)
    with connect(run) as connection:
        merge(dataset, "s")
        dataset.sweep()
        assert connection.sql("select count(*) from prompts").fetchall() == [(12,)]
    before = files(dataset)
    age(monkeypatch)
    dataset.sweep()
    left = files(dataset)
    assert len(left) < len(before) - 20, "entries and data files of twelve commits"
    assert rows(dataset) == keys() and settled(dataset) == ["f", *keys()]
    dataset.sweep()
    assert files(dataset) == left


def test_a_reader_whose_entries_vanish_looks_again(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, contents = written(run), manifest.contents

    def meanwhile(fs: Any, paths: Any) -> list[bytes]:
        monkeypatch.setattr(manifest, "contents", contents)
        with monkeypatch.context() as patch:
            merge(dataset, "s")
            age(patch)
            dataset.sweep()
        return contents(fs, paths)

    monkeypatch.setattr(manifest, "contents", meanwhile)
    assert [entry.work for entry in Dataset(run, 1).entries("s").values()] == ["b1", "merged"]


class Killed(BaseException):
    """What no code of ours catches."""


@pytest.mark.parametrize("steps", range(4))
def test_a_merger_killed_between_its_steps_changes_nothing(
    run: str, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Its steps are data file, keys, superfluous files, list."""
    dataset, left = written(run), [steps]

    def kill(step: Any) -> Any:
        def taken(*args: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return step(*args)

        return taken

    before = files(dataset)
    with monkeypatch.context() as patch:
        for name in ("replace", "create"):
            patch.setattr(Dataset, name, kill(getattr(Dataset, name)))
        with pytest.raises(Killed):
            merge(dataset, "s")
    assert rows(dataset) == keys() and settled(dataset) == ["f", *keys()]
    dataset.sweep()
    assert files(dataset) == before
    assert merge(dataset, "s") == 12
    assert rows(dataset) == keys()


def test_a_sweep_that_is_killed_anywhere_loses_nothing(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = written(run, 6)
    merge(dataset, "s")
    dataset.commit("s", "b1", done("k06"))
    dataset.commit("s", "b1", done("k07"))
    merge(dataset, "s")
    age(monkeypatch)
    remove, removed = Dataset._remove, []

    def one_more(self: Dataset, path: str, age_s: float = 0.0) -> None:
        before = dataset.fs.exists(path)
        remove(self, path, age_s)
        removed.append(path)
        if before:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "_remove", one_more)
        for _ in range(100):
            try:
                dataset.sweep()
            except Killed:
                assert rows(dataset) == keys(8) and settled(dataset) == ["f", *keys(8)]
                assert dataset.settled("s", "main", "b1") == {"f", "k00", "k03", "k06", "k07"}
            else:
                break
    assert len(removed) == 20, "eight commits, and the first list with what it needs"
    assert lists(dataset) == [1]


def test_two_mergers_at_once(run: str) -> None:
    written(run, 30)
    start, counts = threading.Barrier(3), []

    def work() -> None:
        start.wait()
        counts.append(merge(Dataset(run, 1), "s"))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dataset = Dataset(run, 1)
    assert sum(counts) == 30 and len(counts) == 3
    assert rows(dataset) == keys(30) and settled(dataset) == ["f", *keys(30)]
    dataset.sweep()
    assert rows(dataset) == keys(30)


def test_writers_and_a_merger_at_once(run: str) -> None:
    wanted = [f"k{number:02}" for number in range(40)]
    stop, merged = threading.Event(), []

    def write(share: list[str]) -> None:
        for key in share:
            Dataset(run, 1).commit("s", BUCKETS[int(key[1:]) % 3], done(key))

    def keep_merging() -> None:
        while not stop.is_set():
            merged.append(merge(Dataset(run, 1), "s"))

    merger = threading.Thread(target=keep_merging)
    writers = [
        threading.Thread(target=write, args=(share,))
        for share in (wanted, wanted[::-1], wanted[20:] + wanted[:20])
    ]
    for thread in (merger, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    merger.join()
    dataset = Dataset(run, 1)
    merge(dataset, "s")
    assert sum(merged) > 0
    assert rows(dataset) == wanted and settled(dataset) == wanted


def test_a_name_that_was_merged_is_never_used_again(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that looked at its bucket before all this creates a name that is free again."""
    old, new, create = Dataset(run, 1), Dataset(run, 1), Dataset.create
    new.commit("s", "b1", done("a"))

    def held_up(self: Dataset, path: str, data: bytes) -> bool:
        monkeypatch.setattr(Dataset, "create", create)
        new.commit("s", "b1", done("b", "c"))
        merge(new, "s")
        with monkeypatch.context() as patch:
            age(patch)
            new.sweep()
        assert create(self, path, data), "nothing of this name is there any more"
        assert rows(new) == ["a", "b", "c"], "it is not counted"
        return True

    monkeypatch.setattr(Dataset, "create", held_up)
    assert old.commit("s", "b1", done("b", "d")) == 1
    assert rows(new) == ["a", "b", "c", "d"] and settled(new) == ["a", "b", "c", "d"]


def test_a_name_that_was_taken_back_is_not_counted_when_it_comes_again(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, create = Dataset(run, 1), Dataset(run, 1), Dataset.create
    new.commit("s", "b1", done("a"))

    def held_up(self: Dataset, path: str, data: bytes) -> bool:
        monkeypatch.setattr(Dataset, "create", create)
        new.commit("s", "b1", failed("b"))
        new.retract(retries(new))
        new.commit("s", "b1", done("b"))
        return create(self, path, data)

    monkeypatch.setattr(Dataset, "create", held_up)
    assert old.commit("s", "b1", done("b")) == 0
    assert rows(new) == ["a", "b"]


def test_a_merger_that_was_held_up_for_long_starts_again(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, put, calls = written(run), Dataset.put, []

    def slow(self: Dataset, *args: Any) -> str:
        calls.append(args)
        monkeypatch.setattr(merging, "SWEEP_AGE_S", -1.0 if len(calls) == 1 else 3600.0)
        return put(self, *args)

    monkeypatch.setattr(Dataset, "put", slow)
    assert merge(dataset, "s") == 12
    assert len(calls) == 2 and rows(dataset) == keys()


def test_a_long_merge_is_written_in_parts(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FILE_ROWS", 4)
    monkeypatch.setattr(merging, "WRITE_S", -1.0)
    dataset = written(run)
    assert merge(dataset, "s") == 12
    assert len(lists(dataset)) == 3
    assert rows(dataset) == keys() and settled(dataset) == ["f", *keys()]


def test_full_disk_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = written(str(tmp_path / "run"))
    before = files(dataset)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            merge(dataset, "s")
    dataset.sweep()
    assert files(dataset) == before
    assert merge(dataset, "s") == 12
