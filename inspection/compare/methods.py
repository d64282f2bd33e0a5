"""What a comparison by method says: what each method asked for, what it gave, what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from inspection.compare.source import names
from inspection.compare.tables import MISSING, Table
from schemas.methods import SHARED, STAGES
from schemas.table import MAIN
from schemas.views import connect
from terminal.exits import UsageError
from terminal.text import as_text

_NOTE = (
    "Requests and tokens are those of all stages of a method. What several methods have "
    f"({', '.join(sorted(SHARED))}) is done once and counts for each of them, by the share of the "
    "prompts that it took; shared says how many of the completion tokens these are. Tokens for "
    "each are completion tokens for a pair, or for an answer of a method without pairs. A "
    "program's word is of what it could check, ! marks where that is not all."
)
_UNSCORED = (
    "No scores: no model that was trained on these rows was evaluated in these runs (training.dpo "
    "or training.sft, then pipelines.evaluate --model; --models names trainings elsewhere)."
)

_NONE = "–"


class Kind(NamedTuple):
    """Whose rows these are."""

    run: str
    iteration: int
    method: str
    variant: str


@dataclass(frozen=True, slots=True)
class Methods:
    """Methods side by side; scores of models stand apart, by benchmark.

    note: how to read the tables. unscored: what to say where there are no scores.
    """

    runs: Sequence[str]
    tables: Sequence[Table]
    warnings: Sequence[str]
    note: str = _NOTE
    unscored: str = _UNSCORED


_Row = Mapping[str, Any]
_READ = ("methods", "method_overlap", "judge_bias")


def methods(runs: Sequence[str]) -> Methods:
    """The tables of runs by method.

    Raises:
        OSError: no run is there.
        UsageError: a run is named twice, or none has rows by a method.
    """
    found: dict[Kind, _Row] = {}
    overlaps: list[tuple[Kind, Kind, _Row]] = []
    judged: list[tuple[str, _Row]] = []
    for run, name in names(runs).items():
        with connect(run, _READ) as connection:
            for row in sorted(_rows(connection.sql("from methods")), key=_place):
                found[_kind(name, row, "")] = row
            for row in _rows(connection.sql("from method_overlap")):
                overlaps.append((_kind(name, row, ""), _kind(name, row, "other_"), row))
            judged += [(name, row) for row in _rows(connection.sql("from judge_bias"))]
    if not found:
        raise UsageError(
            f"{', '.join(runs)}: no method has made anything yet: python -m pipelines.refine "
            "--method NAME --run RUN"
        )
    called = _called(list(found))
    tables = [_costs(found, called), _gains(found, called)]
    if overlaps:
        tables.append(_overlap(overlaps, called))
    if judged:
        tables.append(_bias(judged))
    told = list(dict.fromkeys(as_text(kind.run) for kind in found))
    return Methods(told, tables, _warnings(found, called))


def _rows(relation: Any) -> list[dict[str, Any]]:
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def _place(row: _Row) -> tuple[Any, ...]:
    """Sorts by iteration and method, the main variant before others."""
    known = list(STAGES)
    method = known.index(row["method"]) if row["method"] in known else len(known)
    return (row["iteration"], method, row["method"], row["variant"] != MAIN, row["variant"])


def _kind(run: str, row: _Row, which: str) -> Kind:
    return Kind(run, row["iteration"], row[f"{which}method"], row[f"{which}variant"])


def _called(kinds: Sequence[Kind]) -> dict[Kind, str]:
    """What kinds are called: the method, and what else tells them apart."""
    has_runs = len({kind.run for kind in kinds}) > 1
    has_iterations = len({kind.iteration for kind in kinds}) > 1
    return {
        kind: as_text(
            " · ".join(
                [
                    *([kind.run] if has_runs else []),
                    kind.method,
                    *([kind.variant] if kind.variant != MAIN else []),
                    *([f"iteration {kind.iteration}"] if has_iterations else []),
                ]
            )
        )
        for kind in kinds
    }


def _costs(found: Mapping[Kind, _Row], called: Mapping[Kind, str]) -> Table:
    head = ["", "prompts", "of use", "requests", "prompt tokens", "completion tokens", "shared"]
    columns = ("prompts", "prompts_used", "requests", "prompt_tokens", "completion_tokens")
    rows = [
        [
            called[kind],
            *(_count(row[name]) for name in (*columns, "shared_tokens", "pairs", "answers")),
            _count(row["tokens_each"]),
        ]
        for kind, row in found.items()
    ]
    head += ["pairs", "answers to learn", "tokens for each"]
    return Table("Methods: what they asked for and what they gave", head, rows)


def _gains(found: Mapping[Kind, _Row], called: Mapping[Kind, str]) -> Table:
    head = ["", "similarity", "chosen longer by", "chosen is longer", "pairs the program confirms"]
    rows = [
        [
            called[kind],
            _number(row["similarity"], "{:.3f}"),
            _number(row["chars_longer"], "{:+.1f} chars"),
            _number(row["share_longer"], "{:.0%}"),
            _share(row["confirmed"], row["checked"], row["pairs"]),
            _share(row["passing_answers"], row["checked_answers"], row["answers"]),
        ]
        for kind, row in found.items()
    ]
    return Table("Methods: how good it is", [*head, "answers the program passes"], rows)


def _overlap(pairs: Sequence[tuple[Kind, Kind, _Row]], called: Mapping[Kind, str]) -> Table:
    rows = [
        [
            called[one],
            called[other],
            _count(row["prompts"]),
            _count(row["other_prompts"]),
            _count(row["shared"]),
            f"{row['share_of_both']:.0%}",
        ]
        for one, other, row in pairs
        if one in called and other in called
    ]
    head = ["", "and", "prompts of one", "of the other", "of both", "share"]
    return Table("Methods: the prompts that they have in common", head, rows)


def _bias(judged: Sequence[tuple[str, _Row]]) -> Table:
    """How much of what the judge says Yes to a program denies, and of what passed in the end."""
    has_runs = len({run for run, _ in judged}) > 1
    rows = [
        [
            as_text(" · ".join([*([run] if has_runs else []), *_told(row)])),
            _count(row["checked"]),
            _number(row["agreement"], "{:.0%}"),
            _number(row["share_of_yes_denied"], "{:.0%}"),
            _number(row["share_of_passed_denied"], "{:.0%}"),
        ]
        for run, row in judged
    ]
    head = ["", "judged and checked", "judge and program agree", "of the judge's Yes denied"]
    return Table("The judge beside the program", [*head, "of what passed denied"], rows)


def _told(row: _Row) -> list[str]:
    variant = [row["variant"]] if row["variant"] != MAIN else []
    return [row["stage"], *variant, f"iteration {row['iteration']}"]


def _warnings(found: Mapping[Kind, _Row], called: Mapping[Kind, str]) -> list[str]:
    """What makes methods hard to compare."""
    given = {kind: row["prompts"] for kind, row in found.items() if row["prompts"] is not None}
    counts: dict[int, list[str]] = {}
    for kind, count in given.items():
        counts.setdefault(count, []).append(called[kind])
    warned = []
    if len(counts) > 1:
        told = "; ".join(f"{count:,} of {', '.join(some)}" for count, some in counts.items())
        warned.append(f"not as many prompts for all: {told}")
    unchecked = [
        called[kind]
        for kind, row in found.items()
        if (row["pairs"] or 0) + (row["answers"] or 0)
        and not (row["checked"] or 0) + (row["checked_answers"] or 0)
    ]
    if unchecked:
        warned.append(f"no program has a say of {', '.join(unchecked)}: the prompts have no checks")
    return warned


def _share(part: int | None, of: int | None, rows: int) -> str:
    """A share of those that were checked; a mark says that others were not."""
    if not of:
        return _NONE
    mark = MISSING if of < rows else ""
    return f"{(part or 0) / of:.0%}, {part or 0:,} of {of:,}{mark}"


def _count(value: int | None) -> str:
    return _NONE if value is None else f"{value:,}"


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else form.format(value)
