"""Rows of Parquet files that stand for far more than they hold."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spar_core import parquet_rows
from spar_core.parquet_rows import LargeRow, ParquetRows
from terminal.exits import InputError

TURN = pa.struct([("role", pa.string()), ("content", pa.string())])


def file_of(columns: dict[str, Any], **form: Any) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **form)
    file.seek(0)
    return file


def read(file: io.BytesIO, *columns: str) -> list[Any]:
    """Rows as plain values; the size of one that is over the limit."""
    rows = ParquetRows(file, "in.parquet")
    return [
        each.size
        if isinstance(each, LargeRow)
        else {name: value.as_py() for name, value in each.items()}
        for each in rows.read(columns or rows.schema.names)
    ]


@pytest.mark.parametrize("form", [{}, {"use_dictionary": False}, {"compression": "zstd"}])
@pytest.mark.parametrize("group", [1, 7, 1000])
def test_rows_are_read_as_they_were_written(form: dict[str, Any], group: int) -> None:
    rows = [
        {
            "prompt": None if n % 5 == 3 else f"{n % 4} ä" * (n % 3),
            "large": f"text {n}",
            "number": n,
            "turns": None if n % 7 == 6 else [{"role": "user", "content": "x" * n}] * (n % 3),
            "map": [("k", "v" * n)],
            "tags": ["a", None],
            "fixed": [1.0, 2.0],
        }
        for n in range(200)
    ]
    schema = pa.schema(
        [
            ("prompt", pa.string()),
            ("large", pa.large_string()),
            ("number", pa.int64()),
            ("turns", pa.list_(TURN)),
            ("map", pa.map_(pa.string(), pa.string())),
            ("tags", pa.list_(pa.string())),
            ("fixed", pa.list_(pa.float32(), 2)),
        ]
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    assert read(file_of(columns, row_group_size=group, **form)) == rows


def test_only_the_columns_that_are_asked_for_are_read() -> None:
    file = file_of({"prompt": ["a", "b"], "other": ["x", "y"]})
    assert read(file, "prompt") == [{"prompt": "a"}, {"prompt": "b"}]


def test_columns_with_a_dot_in_their_names_are_read() -> None:
    assert read(file_of({"a.b": ["x", "y"]})) == [{"a.b": "x"}, {"a.b": "y"}]


def test_file_without_rows_has_none() -> None:
    assert read(file_of({"prompt": pa.array([], pa.string())})) == []


def test_text_that_is_stored_once_is_in_memory_once() -> None:
    """500 rows of 1 MB out of a file of some hundred bytes."""
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int32()), ["a" * 1_000_000])
    file = file_of({"prompt": repeated}, compression="zstd", store_schema=False)
    assert len(file.getvalue()) < 1000
    before, most, count = pa.total_allocated_bytes(), 0, 0
    for row in ParquetRows(file, "in.parquet").read(["prompt"]):
        most = max(most, pa.total_allocated_bytes() - before)
        assert not isinstance(row, LargeRow)
        count += 1
    assert count == 500
    assert most < 20_000_000


def test_a_row_over_the_limit_is_told_and_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "ROW_BYTES", 1000)
    texts = ["short", "x" * 1001, "x" * 1000, None]
    for form in ({}, {"use_dictionary": False}):
        found = read(file_of({"prompt": texts}, **form))
        assert found == [{"prompt": "short"}, 1001, {"prompt": "x" * 1000}, {"prompt": None}]


@pytest.mark.parametrize("form", [{}, {"use_dictionary": False}])
def test_all_values_of_a_row_count(monkeypatch: pytest.MonkeyPatch, form: dict[str, Any]) -> None:
    monkeypatch.setattr(parquet_rows, "ROW_BYTES", 1000)
    turn = {"role": "user", "content": "x" * 100}
    turns = pa.array([[turn] * 5, [turn] * 20, None, [turn]], pa.list_(TURN))
    maps = pa.array([[("k", "v")], [], [("k", "v" * 998)], []], pa.map_(pa.string(), pa.string()))
    found = read(file_of({"turns": turns, "map": maps}, **form))
    assert [each if isinstance(each, int) else "read" for each in found] == [
        *("read", 20 * 104, "read", "read")
    ]


def test_plain_values_end_at_a_row_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "ROW_BYTES", 10)
    rows = ParquetRows(file_of({"a": ["x", "y" * 11]}), "in.parquet").values(["a"])
    assert next(rows) == {"a": "x"}
    with pytest.raises(ValueError, match=r"in\.parquet:2: the row holds"):
        next(rows)


def test_a_large_row_is_a_line_with_a_remedy() -> None:
    said = str(LargeRow(1_300_000_000))
    assert said.startswith("the row holds 1,300.0 MB, and at most 16.8 MB are read: shorten")


def test_a_column_that_grows_beyond_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_GROWN_BYTES", 100_000)
    file = file_of({"prompt": ["a" * 2_000_000]}, compression="zstd", use_dictionary=False)
    with pytest.raises(InputError, match=r"in\.parquet: the column prompt would take 2 MB out of"):
        read(file)


def test_numbers_that_shrink_are_honest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_GROWN_BYTES", 1000)
    file = file_of({"n": [0] * 100_000}, compression="zstd", use_dictionary=False)
    assert len(read(file)) == 100_000


def test_a_list_of_very_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_VALUES", 1000)
    with pytest.raises(InputError, match=r"the column tags\.list\.element has 5,000 values in 2"):
        read(file_of({"tags": [["a"] * 4999, ["b"]]}))
