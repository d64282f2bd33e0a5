"""Whose rows are meant: those of one method and one variant, unless several are named.

An iteration may hold pairs and rft rows of several methods and variants, all over the same
responses. Whoever reads them together must have said so.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import duckdb

COLUMNS = ("method", "variant")
"""The columns that say whose a row is."""

_SHOWN = 8
"""Kinds that a message lists at most."""

Kind = tuple[str | None, ...]
"""A method and a variant, or as many of the two as the rows have columns."""


class SelectionError(Exception):
    """The rows are of several kinds and nobody said which, or are not of those that were named."""


class NoSuchRows(SelectionError):
    """No row is of the methods or of the variants that were named."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """How many rows there are of each kind.

    columns: of `COLUMNS`, those that the rows have.
    """

    columns: tuple[str, ...]
    rows: dict[Kind, int]

    @classmethod
    def of(cls, relation: duckdb.DuckDBPyRelation) -> Kinds:
        """Count a relation's rows."""
        columns = tuple(name for name in COLUMNS if name in relation.columns)
        names = ", ".join(columns)
        counted = relation.aggregate(f"{names}{', ' if names else ''}count(*)", names)
        return cls(columns, _sorted({tuple(kind): n for *kind, n in counted.fetchall()}))

    @classmethod
    def count(cls, columns: tuple[str, ...], rows: Iterable[Mapping[str, object]]) -> Kinds:
        """Count rows that have these columns."""
        counted = Counter(tuple(row[name] for name in columns) for row in rows)
        return cls(columns, _sorted(cast("dict[Kind, int]", counted)))

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    def values(self, column: str) -> list[str | None]:
        """What stands in a column, each once; nothing where the rows have no such column."""
        if column not in self.columns:
            return []
        place = self.columns.index(column)
        return list(dict.fromkeys(kind[place] for kind in self.rows))

    def records(self) -> list[dict[str, str | int | None]]:
        """As plain values for a file: method, variant, rows."""
        return [
            {**dict(zip(self.columns, kind, strict=True)), "rows": number}
            for kind, number in self.rows.items()
            if self.columns
        ]

    def told(self) -> str:
        """The counts in words."""
        return tell(self.records())


@dataclass(frozen=True, slots=True)
class Choice:
    """Methods and variants named by a user; none named is whatever there is, if it is one."""

    method: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()

    @classmethod
    def read(cls, method: str | None, variant: str | None) -> Choice:
        """Of the values of `--method` and `--variant`, names with commas between.

        Raises:
            SelectionError: a name is empty.
        """
        return cls(_names("method", method), _names("variant", variant))

    def __bool__(self) -> bool:
        return bool(self.method or self.variant)

    def named(self, column: str) -> tuple[str, ...]:
        return self.method if column == "method" else self.variant

    def within(self, columns: Sequence[str]) -> Choice:
        """What is left of the choice where only these columns are."""
        return Choice(*(self.named(name) if name in columns else () for name in COLUMNS))

    def of(self, relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The relation's rows that are of what was named; it must have the columns."""
        import duckdb

        for column in COLUMNS:
            if names := [duckdb.ConstantExpression(name) for name in self.named(column)]:
                relation = relation.filter(duckdb.ColumnExpression(column).isin(*names))
        return relation

    def check_named(self, there: Kinds, what: str) -> None:
        """Make sure that all that was named is there.

        Raises:
            NoSuchRows: nothing of it is. SelectionError: not all of it is, or there is no such
                column.
        """
        for column in COLUMNS:
            names = self.named(column)
            if names and column not in there.columns:
                raise SelectionError(
                    f"{what} have no column `{column}`, so --{column} cannot choose among them"
                )
            absent = [name for name in names if name not in there.values(column)]
            if absent:
                error = NoSuchRows if len(absent) == len(names) else SelectionError
                raise error(
                    f"no {what} are of {column} {', '.join(absent)}: there are "
                    f"{there.told() or 'none'}"
                )

    def check_one(self, left: Kinds, what: str) -> None:
        """Make sure that what is left is of one kind, where nobody named several.

        Raises:
            SelectionError: with what there is and how to choose.
        """
        mixed = [c for c in COLUMNS if len(left.values(c)) > 1 and not self.named(c)]
        if not mixed:
            return
        several = [f"--{c} {shlex.quote(','.join(map(str, left.values(c))))}" for c in mixed]
        raise SelectionError(
            f"{what} are of several {' and '.join(f'{c}s' for c in mixed)}: {left.told()}; choose "
            f"with {' and '.join(f'--{c} NAME' for c in mixed)}, or take them together with "
            f"{' '.join(several)}"
        )

    def told(self) -> str:
        """The choice in words, empty where nothing was named."""
        return ", ".join(f"{c} {' or '.join(self.named(c))}" for c in COLUMNS if self.named(c))


def tell(records: Sequence[dict[str, str | int | None]]) -> str:
    """Counts by kind in words; see `Kinds.records`."""
    parts = [
        f"{record['rows']} of "
        + " in ".join(str(record[c] or f"no {c}") for c in COLUMNS if c in record)
        for record in records[:_SHOWN]
    ]
    if len(records) > _SHOWN:
        parts.append(f"{len(records) - _SHOWN} kinds more")
    return ", ".join(parts)


def _names(option: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise SelectionError(f"--{option} takes a name, or several with commas, not {text!r}")
    return names


def _sorted(rows: Mapping[Kind, int]) -> dict[Kind, int]:
    return dict(sorted(rows.items(), key=lambda row: [value or "" for value in row[0]]))
