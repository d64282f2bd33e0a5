"""What a table is: its name, its row type and its columns.

Columns are described in plain words, so that who only needs a name loads no Arrow.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

Row = TypeVar("Row")

Kind = str | Sequence["Kind"] | Mapping[str, "Kind"]
"""The type of a column: a name of Arrow's, `[kind]` for a list, `{name: kind}` for a struct."""

MESSAGES: Kind = [{"role": "string", "content": "string"}]
"""A chat, as TRL and the OpenAI protocol write it."""

VOTES: Kind = [
    {"vote": "string", "text": "string", "finish_reason": "string", "reasoning": "string"}
]
"""Votes with the text each was read from; `vote` is Yes, No or null where none could be read.

`reasoning` is what the judge thought before the text, which is without it; null for nothing.
"""


MAIN = "main"
"""The variant that rows belong to unless another is named."""

SPAR = "spar"
"""The method of pairs made by refinement, `refined` in files of early runs."""

VARIANT = {"variant": f"coalesce(variant, '{MAIN}')"}
"""How `variant` reads: files from before it was noted are of the main one."""

OUTCOME = {
    "outcome": "coalesce(nullif(outcome, ''), verdict)",
    "asked_again": "coalesce(asked_again, 0)",
}
"""How these read: in files from before checks had a say, and votes were asked for again."""


@dataclasses.dataclass(frozen=True)
class Table(Generic[Row]):
    """A table of a run, kept under `<run>/<name>/iteration=<t>/*.parquet`.

    The iteration is no column of the files: it is the partition.

    columns: its columns in their order, with their types.
    reads: by column the SQL that its view shows instead, so that files from before a column was
        there, or before its words were changed, read like new ones.
    """

    name: str
    row: type[Row]
    columns: Mapping[str, Kind]
    reads: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return arrow_schema(self.columns)

    @functools.cached_property
    def form(self) -> str:
        """Changes when the table's columns do: files of one form can be read as one."""
        columns = ", ".join(f"{field.name} {field.type}" for field in self.schema)
        return hashlib.sha256(columns.encode()).hexdigest()[:8]

    def to_arrow(self, rows: Iterable[Row]) -> pa.Table:
        """Rows as an Arrow table of exactly this schema."""
        import pyarrow as pa

        some = list(rows)
        columns = []
        for field, plain in zip(self.schema, self._plain, strict=True):
            values = [getattr(row, field.name) for row in some]
            columns.append(pa.array([*map(plain, values)] if plain else values, field.type))
        return pa.Table.from_arrays(columns, schema=self.schema)

    def plain(self, row: Row) -> dict[str, Any]:
        """A row as plain values by column, as an Arrow table of it gives them."""
        return {
            name: plain(getattr(row, name)) if plain else getattr(row, name)
            for name, plain in zip(self.schema.names, self._plain, strict=True)
        }

    @functools.cached_property
    def _plain(self) -> tuple[_Plain | None, ...]:
        return tuple(_plain_of(kind) for kind in self.columns.values())


_Plain = Callable[[Any], Any]
"""Makes a value of a row plain: dicts in place of dataclasses."""


def _plain_of(kind: Kind) -> _Plain | None:
    """What makes values of a type plain; None where they are."""
    if isinstance(kind, str):
        return None
    if not isinstance(kind, Mapping):
        item = _plain_of(kind[0])
        return None if item is None else lambda some: some and [*map(item, some)]
    plain = {name: _plain_of(each) for name, each in kind.items()}

    def fields_of(value: Any) -> Any:
        if value is None or isinstance(value, dict):
            return value
        return {
            name: make(getattr(value, name)) if make else getattr(value, name)
            for name, make in plain.items()
        }

    return fields_of


def arrow_schema(columns: Mapping[str, Kind]) -> pa.Schema:
    """The Arrow schema of columns."""
    import pyarrow as pa

    return pa.schema([(name, _arrow_type(kind)) for name, kind in columns.items()])


def _arrow_type(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    if isinstance(kind, str):
        return pa.type_for_alias(kind)
    if isinstance(kind, Mapping):
        return pa.struct([(name, _arrow_type(each)) for name, each in kind.items()])
    [each] = kind
    return pa.list_(_arrow_type(each))
