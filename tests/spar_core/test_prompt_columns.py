"""Which column of a file holds the prompts, and what becomes of its other columns."""

from __future__ import annotations

import datetime
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.execution.intake import deal, ingest
from spar_core.dataset import Dataset
from spar_core.ids import prompt_id
from spar_core.prompt_columns import (
    CHATS,
    COLUMNS,
    JOINED,
    SEED_COLUMNS,
    extra_of,
    first_of,
    named,
)
from spar_core.prompt_files import InputRow, read
from terminal.exits import InputError
from tests.committed import commit
from tests.pipelines.rounds import failures, files, query

TEXTS = tuple(name for name in COLUMNS if name not in CHATS)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write rows of the same fields as the file's suffix says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines))
    return str(path)


def test_words_for_columns() -> None:
    assert named(["a"]) == "`a`"
    assert named(["a", "b", "c"]) == "`a`, `b` or `c`"


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_the_first_usual_column_is_read(tmp_path: Path, kind: str, number: int) -> None:
    usual = [name for name in TEXTS[number:] if (TEXTS[number], name) != JOINED]
    path = write(
        tmp_path / f"in.{kind}", [{"id": 7} | {name: f"a {name}" for name in reversed(usual)}]
    )
    [row] = read(path)
    assert (row.prompt, row.column) == (f"a {TEXTS[number]}", TEXTS[number])
    assert row.others == tuple(usual[1:])


def test_seeds_prefer_their_own_columns() -> None:
    assert {*SEED_COLUMNS} == {*COLUMNS}
    assert first_of(SEED_COLUMNS, ["text", "seed", "question"]) == "seed"


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_a_column_that_is_named_is_read(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"in.{kind}", [{"prompt": "a", "ask": "b"}] * 2)
    assert [(row.prompt, row.others) for row in read(path, ("ask",))] == [("b", ())] * 2
    if kind in ("csv", "parquet"):
        with pytest.raises(InputError, match=r"no column `no` \(columns: prompt, ask\)"):
            list(read(path, ("no",)))
    else:
        assert "no field `no` (fields: prompt, ask)" in next(read(path, ("no",))).message


def test_rows_of_a_file_are_read_from_one_column(tmp_path: Path) -> None:
    rows = [{"text": "source"}, {"prompt": "a", "text": "b"}, {"instruction": "c"}]
    found = list(read(write(tmp_path / "in.jsonl", rows)))
    assert [row.prompt or row.error for row in found] == ["no_prompt", "a", "no_prompt"]
    assert "no field `prompt` (fields: text)" in found[0].message


def test_other_columns_are_kept_as_json(tmp_path: Path) -> None:
    row = {"id": 7, "prompt": "a", "team": "blüe", "tags": ["x", {"y": None}], "none": None}
    expected = {"id": 7, "team": "blüe", "tags": ["x", {"y": None}]}
    for kind in ("jsonl", "json"):
        [read_one] = read(write(tmp_path / f"in.{kind}", [row]))
        assert json.loads(read_one.extra or "") == expected
    [read_one] = read(write(tmp_path / "in.csv", [{"n": "007", "prompt": "a", "split": "eval"}]))
    assert (read_one.extra, read_one.split) == ('{"n": "007"}', "eval")


def test_other_columns_of_parquet_may_be_of_any_type(tmp_path: Path) -> None:
    broken = pa.array([b"\xff"], pa.binary()).buffers()
    table = pa.table(
        {
            "prompt": ["a"],
            "n": pa.array([float("nan")]),
            "day": pa.array([datetime.date(2024, 1, 2)]),
            "image": pa.array([b"\x89PNG"]),
            "picture": pa.array([{"bytes": b"\x89PNG", "path": "x.png"}]),
            "broken": pa.StringArray.from_buffers(1, broken[1], broken[2]),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    [row] = read(str(tmp_path / "in.parquet"))
    assert json.loads(row.extra or "") == {
        "day": "2024-01-02",
        "picture": {"bytes": None, "path": "x.png"},
    }


def test_what_utf8_cannot_hold_is_escaped() -> None:
    extra = extra_of({"p": "a", "k\ud800": "v\ud800"}, "p")
    assert extra and json.loads(extra.encode()) == {"k\\ud800": "v\\ud800"}
    assert extra_of({"p": "a", "split": "train", "checks": [], "kwargs": 1}, "p") is None


def test_a_row_that_is_nested_too_deeply_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    deep = "[" * 600 + "]" * 600
    path.write_text(f'{{"prompt": "a", "deep": {deep}}}\n{{"prompt": "b"}}\n')
    assert [row.prompt or row.error for row in read(str(path))] == ["bad_json", "b"]


def test_a_row_is_shown_in_failures_as_before() -> None:
    assert repr(InputRow("f:1", "a", extra="{}", column="c", others=("d",))) == repr(
        InputRow("f:1", "a")
    )


def test_extra_is_in_the_run_and_no_part_of_an_id(tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = tmp_path / "in.jsonl"
    write(path, [{"question": "a", "team": "x"}, {"question": "b", "text": "t"}])
    first = ingest(Dataset(str(run), 1), str(path), None)
    assert first.remarks() == (
        "; read from the column `question`, not `text` (--prompt_column NAME)"
    )
    assert query(run, "select prompt_id, prompt, extra->>'team' from prompts order by 2") == [
        (prompt_id("a"), "a", "x"),
        (prompt_id("b"), "b", None),
    ]
    written = files(run)
    write(path, [{"question": "a", "team": "other"}, {"question": "b"}])
    again = ingest(Dataset(str(run), 1), str(path), None)
    assert (again.added, again.remarks(), files(run)) == (0, "", written)
    dealt = deal(str(run), [1, 2], write(tmp_path / "x.csv", [{"ask": "c"}]), None, (), ("ask",))
    assert dealt.added == 1
    assert failures(run) == []


def test_a_run_from_before_has_no_extra(tmp_path: Path) -> None:
    from schemas.prompts import Prompt

    early = [Prompt(prompt_id("a"), "a", "f:1", 0)]
    run = commit(tmp_path, "prompts", early, without=["extra"])
    assert query(run, "select prompt, extra from prompts") == [("a", None)]
    path = write(tmp_path / "in.jsonl", [{"prompt": "a", "id": 1}, {"prompt": "b", "id": 2}])
    assert ingest(Dataset(str(run), 1), path, None).added == 1
    assert query(run, "select prompt, extra from prompts order by 1") == [
        ("a", None),
        ("b", '{"id": 2}'),
    ]


def test_standard_input_has_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"ask": "a", "id": 1}\n')))
    [row] = read("-", ("ask",))
    assert (row.prompt, row.extra) == ("a", '{"id": 1}')
