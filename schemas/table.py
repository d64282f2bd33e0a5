"""What a table is: its name, its row type and its Arrow schema."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import pyarrow as pa

Row = TypeVar("Row")

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
"""A chat, as TRL and the OpenAI protocol write it."""

VOTES = pa.list_(
    pa.struct([("vote", pa.string()), ("text", pa.string()), ("finish_reason", pa.string())])
)
"""Votes with the text each was read from; `vote` is Yes, No or null where none could be read."""


MAIN = "main"
"""The variant that rows belong to unless another is named."""

SPAR = "spar"
"""The method of pairs made by refinement, `refined` in files of early runs."""

VARIANT = {"variant": f"coalesce(variant, '{MAIN}')"}
"""How `variant` reads: files from before it was noted are of the main one."""


@dataclasses.dataclass(frozen=True)
class Table(Generic[Row]):
    """A table of a run, kept under `<run>/<name>/iteration=<t>/*.parquet`.

    The iteration is no column of the files: it is the partition.

    reads: by column the SQL that its view shows instead, so that files from before a column was
        there, or before its words were changed, read like new ones.
    """

    name: str
    row: type[Row]
    schema: pa.Schema
    reads: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def form(self) -> str:
        """Changes when the table's columns do: files of one form can be read as one."""
        columns = ", ".join(f"{field.name} {field.type}" for field in self.schema)
        return hashlib.sha256(columns.encode()).hexdigest()[:8]

    def to_arrow(self, rows: Iterable[Row]) -> pa.Table:
        """Rows as an Arrow table of exactly this schema."""
        plain: list[dict[str, Any]] = [dataclasses.asdict(row) for row in rows]  # type: ignore[call-overload]
        return pa.Table.from_pylist(plain, schema=self.schema)
