"""Every table: its row type and its Arrow schema say the same."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pyarrow as pa
import pytest

from schemas import TABLES
from schemas.evaluations import Part, Unit
from schemas.judgements import VoteRecord
from schemas.pairs import Message
from schemas.prompts import Check
from schemas.responses import SamplingRecord
from schemas.table import Table
from schemas.verifiers import Case

EXAMPLES: dict[Any, Any] = {
    str: "tëxt 'with' \"quotes\"\n",
    int: 3,
    float: 0.25,
    bool: True,
    list[VoteRecord]: [VoteRecord("Yes", "ok", "stop"), VoteRecord(None, "", "length")],
    list[Message]: [Message("user", "hi"), Message("assistant", "ho")],
    list[Check]: [Check("punctuation:no_comma", "{}")],
    list[Case]: [Case("an answer", True, False)],
    list[Unit]: [Unit("b1", [Part(1.0, 2.0), Part(0.0, 1.0)])],
    list[str]: ["one", "two"],
    list[int]: [1, -(2**63)],
    list[float | None]: [4.5, None],
    SamplingRecord: SamplingRecord(0.7, 1.0, 64, 5),
}

tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


def types_of(table: Table[Any]) -> dict[str, Any]:
    return typing.get_type_hints(table.row)


def example(table: Table[Any]) -> Any:
    """A row with every column filled."""
    filled = {}
    for name, kind in types_of(table).items():
        [plain] = (
            [k for k in typing.get_args(kind) if k is not type(None)] if _nullable(kind) else [kind]
        )
        filled[name] = EXAMPLES[plain]
    return table.row(**filled)


def _nullable(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def test_the_tables_of_a_run_are_known() -> None:
    assert list(TABLES) == [
        *("seeds", "drafts", "evolutions", "prompts", "responses", "judgements", "nodes", "trees"),
        *("pairs", "rft", "lessons", "sft_actor", "sft_refiner", "items", "answers", "scores"),
        *("evaluations", "drops", "failures", "verifiers", "verifications", "relevances"),
        *("ratings", "battles", "judge_pairs", "backtranslations", "curations"),
    ]
    assert all(table.name == name for name, table in TABLES.items())


@tables
def test_row_fields_are_the_columns_in_order(table: Table[Any]) -> None:
    assert [field.name for field in dataclasses.fields(table.row)] == table.schema.names
    assert "iteration" not in table.schema.names, "it is the partition"


@tables
def test_row_survives_arrow(table: Table[Any]) -> None:
    row = example(table)
    arrow = table.to_arrow([row, row])
    assert arrow.schema == table.schema
    assert arrow.to_pylist() == [dataclasses.asdict(row)] * 2


@tables
def test_nullable_columns_take_none(table: Table[Any]) -> None:
    none = {name: None for name, kind in types_of(table).items() if _nullable(kind)}
    [stored] = table.to_arrow([dataclasses.replace(example(table), **none)]).to_pylist()
    assert {name: stored[name] for name in none} == none


@tables
def test_no_rows_are_an_empty_table_of_the_schema(table: Table[Any]) -> None:
    arrow = table.to_arrow([])
    assert arrow.num_rows == 0 and arrow.schema == table.schema


@tables
def test_value_of_a_wrong_type_is_refused(table: Table[Any]) -> None:
    name = table.schema.names[0]
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        table.to_arrow([dataclasses.replace(example(table), **{name: 1.5})])


def test_form_changes_with_the_columns_and_only_with_them() -> None:
    table = TABLES["prompts"]
    same = Table("other", table.row, dict(table.columns))
    fewer = Table("prompts", table.row, dict(list(table.columns.items())[1:]))
    other = Table("prompts", table.row, {**table.columns, "prompt_id": "int64"})
    assert table.form == same.form
    assert len({table.form, fewer.form, other.form}) == 3
    schemas = {str(each.schema) for each in TABLES.values()}
    assert len({each.form for each in TABLES.values()}) == len(schemas)
