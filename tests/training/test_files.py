"""Columns that are trained on are texts or chats in files of every kind."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from training.data import DataError, Row, select

PAIR = (("prompt", "chosen", "rejected"),)
LATE = 30_000
"""A row beyond what DuckDB looks at for types, 20,480."""

LOOKALIKES = [
    "2024-01-01",
    "2024-01-01T10:20:30Z",
    "10:20:30",
    "123e4567-e89b-12d3-a456-426614174000",
    "007",
    "1e5",
    "1.50",
    "-3",
    "true",
    "False",
    "null",
    "NaN",
    '{"a": 1}',
    "[1]",
    'say "yes", twice\nor not',
]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """Write rows of the same fields as JSONL, CSV or TSV by the file's suffix."""
    if path.suffix == ".jsonl":
        return str(tiny.write_jsonl(path, [*rows]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([rows[0].keys(), *(row.values() for row in rows)])
    return str(path)


def texts(text: str, number: int = 0) -> dict[str, Any]:
    return {"prompt": text, "chosen": text, "rejected": "no", "similarity": number / LATE}


def chosen(rows: Sequence[Row]) -> list[object]:
    return [row["chosen"] for row in rows]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("text", LOOKALIKES)
def test_a_column_of_values_that_look_like_another_type_is_text(
    tmp_path: Path, kind: str, text: str
) -> None:
    data = write(tmp_path / f"in.{kind}", [texts(text, n) for n in range(3)])
    some = select(data, "pairs", PAIR, "similarity > 0")
    expected = {"prompt": text, "chosen": text, "rejected": "no"}
    assert some.rows == [expected, expected]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("first", ["2024-01-01", "007", "true", "plain"])
def test_a_late_row_of_another_kind_is_text(tmp_path: Path, kind: str, first: str) -> None:
    rows = [texts(first, n) for n in range(LATE)]
    late = 'late, "quoted"\nand of two lines'
    data = write(tmp_path / f"in.{kind}", [*rows, texts(late, LATE), texts("2024-01-01", LATE)])
    some = select(data, "pairs", PAIR, "similarity > 0.9999")
    assert chosen(some.rows) == [first] * 2 + [late, "2024-01-01"]
    assert some.before == LATE + 2


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_kinds_of_values_mixed_are_texts(tmp_path: Path, kind: str) -> None:
    data = write(tmp_path / f"in.{kind}", [texts(text) for text in LOOKALIKES])
    assert chosen(select(data, "pairs", PAIR).rows) == LOOKALIKES


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_late_value_of_another_column_harms_conditions_on_it_alone(
    tmp_path: Path, kind: str
) -> None:
    rows = [texts("a", n) for n in range(LATE)]
    data = write(tmp_path / f"in.{kind}", [*rows, {**texts("a"), "similarity": "none"}])
    assert len(select(data, "pairs", PAIR, "rejected = 'no'").rows) == LATE + 1


def test_json_numbers_and_booleans_are_texts(tmp_path: Path) -> None:
    rows = [texts("a") | {"chosen": value} for value in (7, 1.5, True)]
    data = tiny.write_jsonl(tmp_path / "scalars.jsonl", rows)
    assert chosen(select(str(data), "pairs", PAIR).rows) == ["7", "1.5", "true"]
    chat = [{"role": "assistant", "content": "yes"}]
    data = tiny.write_jsonl(tmp_path / "mixed.jsonl", [*rows, texts("a") | {"chosen": chat}])
    assert chosen(select(str(data), "pairs", PAIR).rows) == ["7", "1.5", "true", chat]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_contents_of_messages_are_texts(tmp_path: Path, text: str) -> None:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    data = tiny.write_jsonl(tmp_path / "in.jsonl", [{"messages": messages, "n": 1}] * 2)
    some = select(str(data), "rft", (("messages",),), "messages[1].role = 'user' and n > 0")
    assert some.rows == [{"messages": messages}] * 2


@pytest.mark.parametrize("first", ["2024-01-01", "plain"])
def test_a_late_chat_after_texts_and_a_late_text_after_chats(tmp_path: Path, first: str) -> None:
    chat = [{"role": "assistant", "content": "2024-01-01"}]
    for early, late in ((first, chat), (chat, first)):
        rows = [texts("a", n) | {"chosen": early} for n in range(LATE)]
        data = tiny.write_jsonl(tmp_path / "in.jsonl", [*rows, texts("a", LATE) | {"chosen": late}])
        some = select(str(data), "pairs", PAIR, "similarity > 0.9999")
        assert chosen(some.rows) == [early] * 2 + [late]


def test_contents_of_several_kinds_are_kept_as_they_are(tmp_path: Path) -> None:
    chats = [[{"role": "user", "content": content}] for content in ("hi", ["x"], None)]
    data = tiny.write_jsonl(tmp_path / "in.jsonl", [{"messages": chat} for chat in chats])
    assert [row["messages"] for row in select(str(data), "rft", (("messages",),)).rows] == chats


def test_files_of_texts_and_of_chats_are_one_table(tmp_path: Path) -> None:
    chat = [{"role": "assistant", "content": "yes"}]
    tiny.write_jsonl(tmp_path / "1.jsonl", [texts("2024-01-01")])
    tiny.write_jsonl(tmp_path / "2.jsonl", [texts("a") | {"chosen": chat}])
    some = select(str(tmp_path / "*.jsonl"), "pairs", PAIR)
    assert chosen(some.rows) == ["2024-01-01", chat]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_variant_may_look_like_a_number(tmp_path: Path, kind: str) -> None:
    rows = [texts("a") | {"method": "spar", "variant": "007"} for _ in range(2)]
    some = select(write(tmp_path / f"in.{kind}", rows), "pairs", PAIR)
    assert some.kinds.records() == [{"method": "spar", "variant": "007", "rows": 2}]


def test_conditions_compare_other_columns_by_their_types(tmp_path: Path) -> None:
    rows = [texts("a") | {"iteration": n, "made": f"2024-01-{n:02}"} for n in range(1, 13)]
    for kind in ("jsonl", "csv"):
        data = write(tmp_path / f"in.{kind}", rows)
        condition = "iteration > 9 and made < date '2024-01-12'"
        assert len(select(data, "pairs", PAIR, condition).rows) == 2


def test_a_json_list_is_a_file_of_rows(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps([texts("2024-01-01"), texts("true")]))
    assert chosen(select(str(tmp_path / "in.json"), "pairs", PAIR).rows) == ["2024-01-01", "true"]


def test_a_broken_late_row_is_named(tmp_path: Path) -> None:
    path = tiny.write_jsonl(tmp_path / "in.jsonl", [texts("a")] * LATE)
    with path.open("a") as file:
        file.write('{"prompt": "a"\n')
    with pytest.raises(DataError, match=r"in\.jsonl.* line 3000\d"):
        select(str(path), "pairs", PAIR)


def test_a_file_system_that_fails_in_its_own_way_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError

    monkeypatch.setattr("fsspec.core.url_to_fs", fail)
    with pytest.raises(DataError, match=r"cannot read hf://x: RuntimeError$"):
        select("hf://x", "pairs", PAIR)
