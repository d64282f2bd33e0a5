"""Entries of a manifest and lists of them: read back, and refused where a name could lead away."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import fsspec
import pytest

from pipelines.execution.metrics import account
from schemas.entries import USAGE, DataFile, Entry, EntryList, StoredKeys, replaced_files
from schemas.names import BadControlFile
from spar_core.engine.meter import Usage
from terminal.exits import InputError

FS = fsspec.filesystem("memory")
PATH = "/run/_manifest/iteration=1/s/w.0.json"
LIST = "/run/_manifest/iteration=1/s/merged/3.json"
Change = Callable[[dict[str, Any]], Any]


def entry(*, retry: bool = False) -> Entry:
    files = {"prompts": DataFile("prompts/iteration=1/x.parquet", 2)}
    return Entry("s", "w", 0, ("a", 'b"é'), files, retry)


def listed() -> EntryList:
    keys = StoredKeys(FS, f"{LIST.rpartition('/')[0]}/3-0a.keys", 2, ["w", "v"])
    merged = dataclasses.replace(entry(), work="merged", keys=keys)
    return EntryList(3, {"w": [(0, 4)], "v": [(1, 1)]}, [merged], "3-0b.replaced")


def read_changed(change: Change) -> Entry:
    plain = json.loads(entry().to_json())
    change(plain)
    return Entry.from_json(json.dumps(plain).encode(), PATH)


@pytest.mark.parametrize("retry", [True, False])
def test_entry_is_read_back(retry: bool) -> None:
    assert Entry.from_json(entry(retry=retry).to_json(), PATH) == entry(retry=retry)


def test_entry_without_files_is_read_back() -> None:
    empty = Entry("s", "w", 1, (), {})
    assert Entry.from_json(empty.to_json(), PATH) == empty


def test_use_of_the_engine_is_read_back() -> None:
    used = dataclasses.replace(entry(), usage={"requests": 3, "engine_s": 0.125})
    assert Entry.from_json(used.to_json(), PATH) == used


def test_entry_written_before_use_was_counted_is_read() -> None:
    assert read_changed(lambda plain: plain.pop("usage")) == entry()


def test_what_stages_account_for_is_what_an_entry_says() -> None:
    assert tuple(account(Usage())) == USAGE
    assert set(account(Usage()).values()) == {0}


def test_account_sums_what_a_meter_took() -> None:
    usage = Usage(3, 1, 2, 40, 50, 1.23456, [10, 30, 20], [5, 3, 1], 20, 25)
    assert list(account(usage).values()) == [3, 1, 2, 40, 50, 1.235, 60, 30, 9, 3, 20, 25]


@pytest.mark.parametrize(
    "path",
    [
        "../victim.parquet",
        "prompts/../../victim.parquet",
        "prompts/iteration=1/../../victim.parquet",
        "prompts/iteration=1/..parquet",
        "prompts/iteration=1/a/b.parquet",
        "prompts/iteration=../x.parquet",
        "/etc/passwd",
        "prompts/iteration=1/x.parquet\n",
        "prompts/iteration=1/x.txt",
        "prompts/iteration=1/\x1b[2J.parquet",
        "prompts\\iteration=1\\x.parquet",
        "gs://bucket/prompts/iteration=1/x.parquet",
        "pairs/iteration=1/of-another-table.parquet",
        "",
        7,
        None,
    ],
)
def test_path_that_is_no_data_file_of_the_table_is_refused(path: object) -> None:
    with pytest.raises(BadControlFile, match=r"w\.0\.json names the data file") as refused:
        read_changed(lambda plain: plain["files"]["prompts"].update(path=path))
    message = str(refused.value)
    assert "remove it if you do not trust the run" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "../x", "a/b", ".hidden", "a\nb", "\x1b[1m", 3, None]
)
@pytest.mark.parametrize("name", ["stage", "work", "variant"])
def test_names_that_are_no_part_of_a_path_are_refused(name: str, bad: object) -> None:
    with pytest.raises(BadControlFile, match=r"w\.0\.json names the "):
        read_changed(lambda plain: plain.update({name: bad}))


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.pop("files"),
        lambda plain: plain.update(files=["prompts"]),
        lambda plain: plain.update(part=-1),
        lambda plain: plain.update(part="0"),
        lambda plain: plain.update(keys=[1]),
        lambda plain: plain.update(keys=None),
        lambda plain: plain.update(retry="no"),
        lambda plain: plain.update(usage={"prompt_tokens": float("inf")}),
        lambda plain: plain.update(usage={"prompt_tokens": "many"}),
        lambda plain: plain.update(more=1),
        lambda plain: plain["files"]["prompts"].update(rows=True),
        lambda plain: plain["files"]["prompts"].update(rows=-2),
        lambda plain: plain["files"]["prompts"].update(form=[]),
    ],
)
def test_values_of_other_types_are_refused(change: Change) -> None:
    with pytest.raises(BadControlFile, match=r"^/run/_manifest/iteration=1/s/w\.0\.json "):
        read_changed(change)


@pytest.mark.parametrize("text", [b"", b"{half", b"[1]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_entry_is_refused_in_a_line(text: bytes) -> None:
    for read in (
        lambda: Entry.from_json(text, PATH),
        lambda: EntryList.from_json(FS, LIST, text),
    ):
        with pytest.raises(InputError, match="no job of this program writes that") as refused:
            read()
        assert "\n" not in str(refused.value)


def test_list_is_read_back() -> None:
    assert EntryList.from_json(FS, LIST, listed().to_json()).to_json() == listed().to_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.update(replaced="../../../victim.replaced"),
        lambda plain: plain.update(replaced="3.json"),
        lambda plain: plain.update(covers={"../w": [[0, 1]]}),
        lambda plain: plain.update(covers={"w": [[0]]}),
        lambda plain: plain.update(covers={"w": [["0", "1"]]}),
        lambda plain: plain["entries"][0].update(keys=["../../3-0a.keys", 2, ["w"]]),
        lambda plain: plain["entries"][0].update(keys=["3-0a.keys", -2, ["w"]]),
        lambda plain: plain["entries"][0].update(keys=["3-0a.keys", 2, ["../w"]]),
        lambda plain: plain["entries"][0].update(variant="../x"),
        lambda plain: plain["entries"][0]["files"]["prompts"].update(path="../x.parquet"),
        lambda plain: plain.update(entries={"a": 1}),
    ],
)
def test_list_that_leads_away_is_refused(change: Change) -> None:
    plain = json.loads(listed().to_json())
    change(plain)
    with pytest.raises(BadControlFile, match=r"merged/3\.json "):
        EntryList.from_json(FS, LIST, json.dumps(plain).encode())


def test_what_a_list_replaced_are_data_files() -> None:
    good = ["prompts/iteration=1/x.parquet", "pairs/iteration=1/s@dfs-b0001-0-0a.parquet"]
    assert replaced_files(json.dumps(good).encode(), "3-0b.replaced") == good
    for bad in (b'["../x.parquet"]', b"7", b"{", b"[1]"):
        with pytest.raises(BadControlFile, match=r"3-0b\.replaced "):
            replaced_files(bad, "3-0b.replaced")
