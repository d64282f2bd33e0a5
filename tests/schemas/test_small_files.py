"""How DuckDB reads committed files of an object store: which requests it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from schemas import small_files
from schemas.small_files import CommittedFiles


class Counting(MemoryFileSystem):  # type: ignore[misc]
    """An object store that notes what is asked of it."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, Any]] = []

    def cat(self, path: Any, **more: Any) -> Any:
        self.asked.append(("cat", path))
        return super().cat(path, **more)

    def info(self, path: str, **more: Any) -> dict[str, Any]:
        self.asked.append(("info", path))
        return dict(super().info(path, **more))

    def open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        self.asked.append(("open", path))
        more.pop("cache_type", None)
        return super().open(path, mode, **more)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """Ten files of three rows; no test finds what another has kept."""
    monkeypatch.setattr(small_files, "kept", small_files.Kept())
    fs = Counting()
    for number in range(10):
        with MemoryFileSystem.open(fs, f"/run/{number}.parquet", "wb") as file:
            pq.write_table(pa.table({"n": [number, number, number]}), file)
    fs.asked.clear()
    yield fs
    fs.store.clear()


def paths(*numbers: int) -> list[str]:
    return [f"memory:///run/{number}.parquet" for number in numbers]


def total(fs: CommittedFiles, *numbers: int) -> tuple[int, int]:
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        found = connection.execute(
            "select count(*), sum(n)::int from read_parquet($1)", [paths(*numbers)]
        ).fetchone()
    assert found
    return found


def test_small_files_are_read_by_one_request_for_all_of_them(store: Counting) -> None:
    assert total(CommittedFiles(store, paths(*range(10))), *range(10)) == (30, 135)
    assert [kind for kind, _ in store.asked] == ["cat"]


def test_they_are_read_once_in_a_process(store: Counting) -> None:
    for _ in range(2):
        total(CommittedFiles(store, paths(*range(10))), *range(10))
    assert [kind for kind, _ in store.asked] == ["cat"]


def test_others_are_read_piece_by_piece(store: Counting) -> None:
    assert total(CommittedFiles(store, paths(0)), 0, 1) == (6, 3)
    assert ("open", "memory:///run/1.parquet") in store.asked
    assert not any(kind == "cat" and "/run/1.parquet" in path for kind, path in store.asked)


def test_a_file_that_is_gone_is_an_error_that_names_it(store: Counting) -> None:
    store.rm("/run/3.parquet")
    with pytest.raises(duckdb.Error, match=r"3\.parquet"):
        total(CommittedFiles(store, paths(*range(10))), *range(10))


def test_what_is_kept_is_bounded(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(store.cat_file("/run/0.parquet"))
    monkeypatch.setattr(small_files, "KEPT_BYTES", 3 * size)
    assert total(CommittedFiles(store, paths(*range(10))), *range(10)) == (30, 135)
    left = [number for number in range(10) if paths(number)[0] in small_files.kept]
    assert len(left) == 3
