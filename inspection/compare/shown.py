"""What a comparison says of each benchmark: its tables, and what to know before reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inspection.compare import tables
from inspection.compare.differences import against_first, kindness, warnings
from inspection.compare.systems import Results, called
from inspection.compare.tables import Table


@dataclass(frozen=True, slots=True)
class Shown:
    """A benchmark's tables. parts: those of its parts, empty where they are not asked for."""

    results: Results
    warnings: Sequence[str]
    tables: Sequence[Table]
    parts: Sequence[Table]


def shown(benchmarks: Sequence[Results], *, parts: bool = False) -> list[Shown]:
    """Every benchmark's tables; a system is called by what tells it apart on the benchmark."""
    found = []
    for results in benchmarks:
        names = called(results.systems)
        held = against_first(results)
        whole = [
            tables.scores(results, names),
            tables.differences(results, names, held),
            tables.kindness(names, kindness(results)),
        ]
        of_parts: list[Table | None] = []
        if parts:
            more = against_first(results, parts=True)
            of_parts = [
                tables.parts(results, names),
                tables.differences(results, names, more, of=", by part"),
            ]
        found.append(
            Shown(
                results,
                warnings(results, names, held),
                [table for table in whole if table],
                [table for table in of_parts if table],
            )
        )
    return found
