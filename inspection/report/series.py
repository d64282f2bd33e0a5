"""What a report calls the rows that it sets side by side: iterations, variants, methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Rows = list[Row]


@dataclass(frozen=True, slots=True)
class Series:
    """What there are several of in a run; only that is told apart.

    A run of one variant and one method is told apart by its iterations, even by a single one.
    """

    iterations: bool
    variants: bool
    methods: bool

    @classmethod
    def of(cls, variants: Rows) -> Series:
        """Of the rows of the view `variants`."""

        def several(column: str) -> bool:
            return len({row[column] for row in variants} - {None}) > 1

        return cls(several("iteration"), several("variant"), several("method"))

    @property
    def mixed(self) -> bool:
        """Whether numbers over all rows would mix what differs by more than the iteration."""
        return self.variants or self.methods

    def name(self, row: Row) -> str:
        """Whose a row is, in words."""
        parts = [
            f"iteration {row['iteration']}" if self.iterations or not self.variants else "",
            str(row["variant"]) if self.variants else "",
            str(row.get("method") or "") if self.methods else "",
        ]
        return ", ".join(filter(None, parts))


def names(rows: Rows) -> list[str]:
    """The names of rows in their order, each once."""
    return list(dict.fromkeys(row["series"] for row in rows))


def headed(name: str) -> str:
    """A name at the head of a column."""
    return name.replace("iteration", "Iteration", 1) if name.startswith("iteration ") else name


def by(rows: Rows, *columns: str) -> dict[Sequence[Any], Row]:
    """Rows by some of their columns."""
    return {tuple(row[column] for column in columns): row for row in rows}
