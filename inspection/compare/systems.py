"""Whose figures a comparison sets side by side, what they are called, and what they came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from schemas.evaluations import Evaluation, Part, Unit
from schemas.table import MAIN
from terminal.text import as_text


@dataclass(frozen=True, slots=True)
class System:
    """What answered a benchmark: a run's iteration and variant, with its model and decoder.

    scorer: named only where the same answers were scored by several.
    """

    run: str
    iteration: int
    variant: str
    model: str
    decoder: str
    votes: int
    budget: int
    scorer: str = ""


class Name(NamedTuple):
    """A figure of a benchmark; its part is "" for all of it."""

    metric: str
    part: str


@dataclass(frozen=True, slots=True)
class Results:
    """What each system came to in a benchmark; the first is the one that others are held against.

    Figures stand in the order in which they were written, the headline first.
    """

    benchmark: str
    found: dict[System, dict[Name, Evaluation]] = field(default_factory=dict)

    @property
    def systems(self) -> list[System]:
        return list(self.found)

    def names(self, *, parts: bool = False) -> list[Name]:
        """The figures that any system has, of all of the benchmark or of its parts."""
        every = dict.fromkeys(name for held in self.found.values() for name in held)
        return [name for name in every if bool(name.part) is parts]

    @property
    def headline(self) -> Name | None:
        return next(iter(self.names()), None)


class Row(NamedTuple):
    """A row of `evaluations` and where it stands."""

    run: str
    iteration: int
    figure: Evaluation


def results(rows: Iterable[Row]) -> list[Results]:
    """Rows by benchmark, system and figure. Systems come by run, as they are given, and iteration,
    the main variant before others, these by decoder and budget."""
    benchmarks: dict[str, dict[System, list[Evaluation]]] = {}
    order: dict[str, int] = {}
    for run, iteration, figure in rows:
        order.setdefault(run, len(order))
        held = benchmarks.setdefault(figure.benchmark, {})
        held.setdefault(_system(run, iteration, figure), []).append(figure)

    def place(system: System) -> tuple[Any, ...]:
        is_other = system.variant != MAIN
        where = (order[system.run], system.iteration, is_other, system.model)
        settings = (system.decoder, system.votes, system.budget)
        return (*where, *settings, system.variant, system.scorer)

    made = []
    for benchmark, held in sorted(benchmarks.items()):
        apart = [pair for system, some in held.items() for pair in _apart(system, some)]
        found = sorted(apart, key=lambda pair: place(pair[0]))
        made.append(Results(benchmark, dict(found)))
    return made


def _system(run: str, iteration: int, figure: Evaluation) -> System:
    settings = (figure.decoder, figure.votes, figure.budget)
    return System(run, iteration, figure.variant, figure.model, *settings)


def _apart(
    system: System, figures: list[Evaluation]
) -> list[tuple[System, dict[Name, Evaluation]]]:
    """A system's figures by name; where one stands there twice, a system for each scorer."""
    counts = Counter((figure.metric, figure.part) for figure in figures)
    is_doubled = max(counts.values()) > 1
    found: dict[System, dict[Name, Evaluation]] = {}
    for figure in figures:
        whose = replace(system, scorer=figure.scorer) if is_doubled else system
        found.setdefault(whose, {})[Name(figure.metric, figure.part)] = figure
    return list(found.items())


_COLUMNS = tuple(column.name for column in fields(Evaluation))


def evaluation(row: Mapping[str, Any]) -> Evaluation:
    """A row of the view `evaluations` by column; without `units` it has none."""
    values = {name: row[name] for name in _COLUMNS if name in row}
    units = row.get("units") or []
    values["units"] = [
        Unit(unit["key"], [Part(part["over"], part["under"]) for part in unit["parts"]])
        for unit in units
    ]
    return Evaluation(**values)


_TOLD = tuple(column.name for column in fields(System))


def called(systems: Collection[System], always: Collection[str] = ()) -> dict[System, str]:
    """What systems are called: only that in which they differ, or the run where they do not.

    Args:
        always: columns that are named even where all are alike.
    """
    told = [
        name
        for name in _TOLD
        if name in always or len({getattr(system, name) for system in systems}) > 1
    ] or ["run"]
    return {
        system: " · ".join(filter(None, (_word(name, getattr(system, name)) for name in told)))
        for system in systems
    }


def _word(column: str, value: Any) -> str:
    if column == "votes":
        return f"{value} vote{'s' * (value != 1)}"
    if column == "scorer":
        return f"scored by {as_text(value)}" if value else ""
    said = as_text(value) if isinstance(value, str) else str(value)
    return f"{column} {said}" if column in ("iteration", "budget") else said
