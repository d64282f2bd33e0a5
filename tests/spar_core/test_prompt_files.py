"""Files of prompts, row by row: what a row holds, or what is wrong with it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spar_core import parquet_rows
from spar_core.input_files import find
from spar_core.prompt_files import read
from terminal.exits import InputError


def found(path: Path | str) -> list[tuple[str, str]]:
    """The end of each row's source with its prompt or its error."""
    return [
        (row.source.removeprefix(str(path)).lstrip(":"), row.error or str(row.prompt))
        for row in read(str(path))
    ]


def test_lines_end_in_any_way(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n  \n{"prompt": "b"}\n\n{"prompt": "c"}')
    assert found(path) == [("1", "a"), ("4", "b"), ("6", "c")]
    path = tmp_path / "in.csv"
    path.write_bytes(b"\xef\xbb\xbfprompt,n\r\na,1\r\n\r\nb,2")
    assert found(path) == [("2", "a"), ("4", "b")]


def test_csv_cells_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(
        b'n,prompt\n1,"two\nlines, ""quoted"""\n2,plain\n3\n4,a,b\n5,"' + b"x" * 200_000 + b'"\n'
        b"6,\xff\n7,\n8,last\n"
    )
    assert found(path) == [
        ("2", 'two\nlines, "quoted"'),
        ("4", "plain"),
        ("5", "bad_csv"),
        ("6", "bad_csv"),
        ("7", "x" * 200_000),
        ("8", "not_utf8"),
        ("9", "empty_prompt"),
        ("10", "last"),
    ]


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.csv.gz", "in.parquet.gz"])
def test_gzip_is_read(tmp_path: Path, name: str) -> None:
    plain = tmp_path / name.removesuffix(".gz")
    if "parquet" in name:
        pq.write_table(pa.table({"prompt": ["a"]}), plain)
    else:
        plain.write_bytes(b"prompt\na\n" if "csv" in name else b'{"prompt": "a"}\n')
    (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
    assert [error for _, error in found(tmp_path / name)] == ["a"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.jsonl.gz", gzip.compress(os.urandom(9999))[:5000]),
        ("no.jsonl.gz", b'{"prompt": "a"}\n'),
        ("no.parquet", b"PAR1 is not enough"),
        ("no.parquet", b""),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"cannot read .*{name}"):
        list(read(str(tmp_path / name)))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_row_may_say_its_split(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"prompt": ["a", "b"], "split": ["eval", "two words"]}), path)
    elif kind == "csv":
        path.write_text("split,prompt\neval,a\ntwo words,b\n")
    else:
        path.write_text('{"prompt": "a", "split": "eval"}\n{"prompt": "b", "split": 3}\n')
    good, bad = read(str(path))
    assert (good.prompt, good.split, bad.prompt, bad.error) == ("a", "eval", None, "bad_split")


def test_files_are_found_in_order_and_none_is_an_error(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.csv"):
        (tmp_path / name).touch()
    assert find(f"{tmp_path}/*.jsonl") == [f"{tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl"]
    with pytest.raises(InputError, match="no such file"):
        find(f"{tmp_path}/*.parquet")


def test_a_row_of_parquet_over_the_limit_is_told_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "ROW_BYTES", 1000)
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"prompt": ["a", "x" * 1001, "b"]}), path)
    one, large, other = read(str(path))
    assert (one.prompt, other.prompt) == ("a", "b")
    assert (large.source, large.prompt, large.error) == (f"{path}:2", None, "too_large")
    assert large.message.startswith("the row holds 0.0 MB, and at most") and not large.payload


def test_a_login_in_the_url_of_a_file_is_in_no_source_and_no_message() -> None:
    with fsspec.open("memory://u:se/cret@in.jsonl", "w") as file:
        file.write('{"prompt": "a"}\nnonsense\n')
    rows = list(read("memory://u:se/cret@in.jsonl"))
    assert [row.source for row in rows] == ["memory://***@in.jsonl:1", "memory://***@in.jsonl:2"]

    with pytest.raises(InputError) as refused:
        list(read("nowhere://u:se/cret@host/in.jsonl"))
    assert str(refused.value).startswith("cannot read nowhere://***@host/in.jsonl: ")
    assert "cret" not in str(refused.value)
