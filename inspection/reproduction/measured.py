"""The units of every evaluation of a reproduction, read from the tables of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspection.reproduction import contract
from inspection.reproduction.contract import (
    AGREEMENT,
    BASE,
    PERPLEXITY,
    REFINEMENT,
    Case,
    EvaluationRecord,
)
from inspection.reproduction.figures import BySeed, Paired, Pooled, Units, excess, paired, pooled
from schemas.evaluations import Part, Unit
from schemas.views import connect
from terminal.exits import InputError

if TYPE_CHECKING:
    import duckdb

HEADLINE = "headline"
"""The first figure that a benchmark names."""

PROMPTS_STRICT, INSTRUCTIONS_STRICT = "prompt_strict", "instruction_strict"
PROGRAM, SELF = "program", "self"
ACCURACY, BIAS = "accuracy", "bias"
"""Of `agreement` both; of `refinement` the bias is `self` less `program`."""

_ITERATION = 1
"""Where evaluations stand in the runs of a reproduction; the variant tells the models apart."""

_AVERAGE = "average"

_FIGURES = f"""
    select metric, units, scored, items, responses
    from evaluations
    where iteration = {_ITERATION} and variant = ? and benchmark = ? and part = ''
"""

_JUDGED = f"""
    select prompt_id, count(*), sum((verdict = 'yes')::int), sum(checked::int),
        sum(((verdict = 'yes') = checked)::int)
    from judgements
    where iteration = {_ITERATION} and variant = ? and checked is not null
        and verdict <> 'unjudged'
    group by prompt_id order by prompt_id
"""
"""Responses that the judge was not asked about (cut off, empty) say nothing of it."""


@dataclass(slots=True)
class Results:
    """What a reproduction measured.

    units: by case and figure the units of each seed. responses: how many responses a prompt took
    in the mean, by case and seed, where it is known. perplexities: by case and seed.
    warnings: what a reader must know before reading the figures, as sentences.
    """

    units: dict[Case, dict[str, dict[int, Units]]] = field(default_factory=dict)
    responses: dict[Case, dict[int, float]] = field(default_factory=dict)
    perplexities: dict[Case, dict[int, float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _pooled: dict[tuple[Case, str], Pooled | None] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """All seeds that have a figure."""
        found = {seed for by_seed in self.perplexities.values() for seed in by_seed}
        for figures in self.units.values():
            found.update(*figures.values())
        return sorted(found)

    def cases(self, measure: str) -> list[Case]:
        """The cases of a measure, by iteration within a line."""
        every = [*self.units, *self.perplexities]
        return sorted(
            (case for case in every if case.measure == measure),
            key=lambda case: (case.line, case.iteration, case.decoder, case.responses),
        )

    def iterations(self, line: str, measure: str | None = None) -> list[int]:
        """The iterations of a line that have a figure, of one measure or of any."""
        return sorted(
            {
                case.iteration
                for case in (*self.units, *self.perplexities)
                if case.line == line and measure in (None, case.measure)
            }
        )

    def by_seed(self, case: Case, figure: str = HEADLINE) -> BySeed:
        """The units of a figure by seed; empty where it was not measured."""
        return self.units.get(case, {}).get(figure, {})

    def pooled(self, case: Case, figure: str = HEADLINE) -> Pooled | None:
        """A figure over all seeds; None where it was not measured."""
        key = (case, figure)
        if key not in self._pooled:  # intervals take long, and tables and plots share them
            self._pooled[key] = pooled(self.by_seed(case, figure))
        return self._pooled[key]

    def paired(
        self, first: Case, second: Case, figure: str = HEADLINE, other: str | None = None
    ) -> Paired | None:
        """How much larger a figure of the second case is; None where they share no prompt.

        The base model is the same whatever the seed, so that measuring it once is enough.

        Args:
            other: the figure of the second case, where it is not the same.
        """
        before, after = self.by_seed(first, figure), self.by_seed(second, other or figure)
        if first.line == BASE:
            before = _for_seeds(before, after)
        if second.line == BASE:
            after = _for_seeds(after, before)
        return paired(before, after)


def _for_seeds(base: BySeed, seeds: BySeed) -> BySeed:
    """The base model's units for seeds in which it was not measured, too."""
    if not base:
        return base
    first = base[min(base)]
    return {seed: base.get(seed, first) for seed in {*base, *seeds}}


def read(records: Sequence[EvaluationRecord]) -> Results:
    """Read all evaluations of a reproduction.

    Raises:
        InputError: the rows of an evaluation that is said to be done are not there.
    """
    results = Results()
    by_run: dict[Path, list[EvaluationRecord]] = {}
    for record in records:
        if record.case.measure == PERPLEXITY:
            value = contract.perplexity(record.path)
            results.perplexities.setdefault(record.case, {})[record.seed] = value
        else:
            by_run.setdefault(record.path, []).append(record)
    for run, some in by_run.items():
        with connect(str(run), ("evaluations", "judgements")) as connection:
            for record in some:
                _add(results, record, _read(connection, record, results))
    return results


def _add(results: Results, record: EvaluationRecord, found: Mapping[str, Units]) -> None:
    for name, units in found.items():
        if units:
            of_case = results.units.setdefault(record.case, {})
            of_case.setdefault(name, {})[record.seed] = units


def _read(
    connection: duckdb.DuckDBPyConnection, record: EvaluationRecord, results: Results
) -> Mapping[str, Units]:
    """The figures of an evaluation by name."""
    if record.case.measure == AGREEMENT:
        return _agreement(connection, record)
    rows = connection.execute(_FIGURES, [record.variant, record.benchmark]).fetchall()
    if not rows:
        raise _missing(record, f"figures of the benchmark {record.benchmark}")
    found: dict[str, Units] = {}
    for metric, units, *_ in rows:
        found.setdefault(metric, _units(units))
    head = next((row for row in rows if row[0] == _AVERAGE), rows[0])
    metric, _, scored, items, responses = head
    found[HEADLINE] = found[metric]
    if responses is not None:
        results.responses.setdefault(record.case, {})[record.seed] = float(responses)
    if scored < items:
        results.warnings.append(
            f"{_called(record)}: {items - scored:,} of {items:,} items have no score."
        )
    if record.case.measure == REFINEMENT:
        return _refinement(found)
    return found


def _refinement(found: Mapping[str, Units]) -> Mapping[str, Units]:
    program, own = found.get(PROGRAM, ()), found.get(SELF, ())
    return {PROGRAM: program, SELF: own, BIAS: excess(program, own)}


def _agreement(
    connection: duckdb.DuckDBPyConnection, record: EvaluationRecord
) -> Mapping[str, Units]:
    """How often verdict and program agree, and how many more answers the verdicts let pass."""
    rows = connection.execute(_JUDGED, [record.variant]).fetchall()
    if not rows:
        raise _missing(record, "judgements of answers that a program checked")
    return {
        ACCURACY: [Unit(key, [Part(agreed, count)]) for key, count, _, _, agreed in rows],
        BIAS: [Unit(key, [Part(yes - passed, count)]) for key, count, yes, passed, _ in rows],
    }


def _units(rows: Sequence[Mapping[str, Any]] | None) -> list[Unit]:
    return [
        Unit(row["key"], [Part(part["over"], part["under"]) for part in row["parts"]])
        for row in rows or ()
    ]


def _missing(record: EvaluationRecord, what: str) -> InputError:
    return InputError(
        f"{record.path} has no {what} in iteration {_ITERATION}, variant {record.variant}, though "
        f"{contract.FILE} names it as done ({_called(record)})"
    )


def _called(record: EvaluationRecord) -> str:
    case = record.case
    return f"{case.measure}, {case.line}, iteration {case.iteration}, seed {record.seed}"
