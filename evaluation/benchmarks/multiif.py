"""Multi-IF (arXiv 2410.15553): conversations of three turns, whose instructions add up.

4,501 conversations in eight languages, of which the first turns are prompts of IFEval and their
translations. Each turn is asked with the model's own answers to the turns before it, and each
answer is scored by the instructions of its turn and of those before, which the files repeat.

The checkers are lm-eval's of IFEval, which were written for English. The authors' script has copies
of them, some of which count words and sentences of other languages otherwise, so figures of other
languages than English may differ from theirs. An instruction that the checkers do not take is
undecided: its turn is not scored, and `scored` says of how many turns a figure is.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData, Benchmark, Figure, Finding, Scored, details
from evaluation.benchmarks import instructions
from evaluation.benchmarks.instructions import AVERAGE, METRICS, Marks
from evaluation.published import rows_of
from schemas.evaluations import Part, Unit
from schemas.items import Item
from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.library import checkers
from spar_core.checks.official import official

NAME = "multiif"

TURNS = 3

_REMEDY = "take it anew from facebook/Multi-IF on the Hub"
_LONGEST_FIELD = 1 << 24
"""Characters of a field of a CSV file; the reader's own limit is shorter."""

_NONE = Part(0.0, 0.0)
"""Adds nothing to a figure."""


def read(paths: Sequence[Path]) -> Iterator[Item]:
    """The conversations of files, CSV, JSON lines or Parquet.

    Raises:
        BadData: a row is no conversation, or has the key of another. NoChecker: there are no
            checkers.
    """
    checkers()
    seen: dict[str, str] = {}
    for path in paths:
        for number, row in _rows(path):
            where = f"{path}: row {number}"
            try:
                item = _item(row, len(seen))
            except (ValueError, RecursionError, BadChecks) as error:
                raise BadData(f"{where}: {error}; {_REMEDY}") from None
            if before := seen.get(item.key):
                raise BadData(f"{where}: its `key` is that of {before}; {_REMEDY}")
            seen[item.key] = where
            yield item
    if not seen:
        raise BadData(f"{', '.join(map(str, paths)) or 'no file'}: no rows; {_REMEDY}")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix != ".csv":
        yield from rows_of(path, _REMEDY)
        return
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from enumerate(csv.DictReader(file), 1)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path}: cannot be read ({error}); {_REMEDY}") from None


def _item(row: Any, position: int) -> Item:
    """The conversation of a row.

    Raises:
        ValueError, BadChecks: it is none.
    """
    if not isinstance(row, Mapping):
        raise BadChecks("no object")
    key, language = row.get("key"), row.get("language")
    for column, value in (("key", key), ("language", language)):
        if not isinstance(value, str) or not value.strip():
            raise BadChecks(f"no `{column}`")
    turns = [_turn(row, number) for number in range(1, TURNS + 1) if row.get(_prompt(number))]
    if not turns:
        raise BadChecks(f"no `{_prompt(1)}`")
    first = turns[0]["prompt"]
    more = json.dumps({"turns": turns}, ensure_ascii=False)
    return Item("", NAME, str(key), first, position, category=str(language), details=more)


def _prompt(number: int) -> str:
    return f"turn_{number}_prompt"


def _turn(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A turn: what the user says, and the instructions that its answer must follow."""
    names = (_prompt(number), f"turn_{number}_instruction_id_list", f"turn_{number}_kwargs")
    message, ids, arguments = (_decoded(row.get(name), name) for name in names)
    said = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(said, str) or not said.strip():
        raise BadChecks(f"`{names[0]}` is no message with a content")
    said.encode()
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids) or not ids:
        raise BadChecks(f"`{names[1]}` is no list of names")
    if not isinstance(arguments, list) or len(arguments) != len(ids):
        raise BadChecks(f"`{names[2]}` is no list as long as `{names[1]}`")
    checks = [
        {"id": name, "kwargs": _arguments(_decoded(given, names[2]), names[2])}
        for name, given in zip(ids, arguments, strict=True)
    ]
    return {"prompt": said, "checks": checks}


def _arguments(given: Any, column: str) -> str:
    if not isinstance(given, Mapping):
        raise BadChecks(f"`{column}` holds something else than objects")
    some = {name: value for name, value in given.items() if value is not None}
    return json.dumps(some, ensure_ascii=False)


def _decoded(value: Any, column: str) -> Any:
    """A value that the files write as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadChecks(f"`{column}` is no JSON") from None


def prompts(item: Item) -> list[str]:
    """What the user says in each turn."""
    return [turn["prompt"] for turn in details(item)["turns"]]


def check(item: Item, response: str) -> list[Finding]:
    """`turn1_strict`, `turn1_loose`, ... of each instruction of each turn.

    Args:
        response: the answers to all turns, a JSON list of texts.

    Raises:
        NoChecker: the checkers are not installed.
    """
    answers: list[str] = json.loads(response)
    return [
        replace(finding, metric=f"turn{number}_{finding.metric}")
        for number, (turn, answer) in enumerate(zip(_turns(item), answers, strict=True), 1)
        for finding in instructions.check(official, turn, answer)
    ]


def _turns(item: Item) -> list[Item]:
    """The turns of a conversation, each as an item of its own."""
    return [
        replace(item, prompt=turn["prompt"], checks=[Check(**check) for check in turn["checks"]])
        for turn in details(item)["turns"]
    ]


_Units = list[tuple[Item, list[Marks | None]]]
"""Conversations, with what was found of each of their turns; None for a turn that is undecided."""


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """The average of all turns, the figures of each turn, and the averages of each language.

    average: the mean of the four METRICS, as the authors report it of each turn.
    """
    found = [(each.item, _marks(each)) for each in scored]
    languages = sorted({item.category or "" for item, _ in found})
    turns = range(TURNS)
    made = [_figure(AVERAGE, "", found, turns)]
    made += [
        _figure(metric, f"turn {turn + 1}", found, [turn])
        for turn in turns
        for metric in (AVERAGE, *METRICS)
    ]
    for language in languages:
        some = [(item, marks) for item, marks in found if item.category == language]
        made.append(_figure(AVERAGE, language, some, turns))
        made += [_figure(AVERAGE, f"{language}, turn {t + 1}", some, [t]) for t in turns]
    return made


def _marks(scored: Scored) -> list[Marks | None]:
    found = []
    for number, turn in enumerate(_turns(scored.item), 1):
        begin = f"turn{number}_"
        of_turn = [
            replace(finding, metric=finding.metric.removeprefix(begin))
            for finding in scored.findings
            if finding.metric.startswith(begin)
        ]
        found.append(instructions.marks_of(Scored(turn, of_turn)))
    return found


def _figure(metric: str, part: str, found: _Units, turns: Sequence[int]) -> Figure:
    """A figure of some turns; its units are conversations, its ratios those of each turn.

    A conversation that is shorter, or of which a turn is undecided, adds nothing for that turn.
    Where no conversation has a turn decided that some have, there is no figure of it.
    """
    metrics = METRICS if metric == AVERAGE else (metric,)
    units, items = [], 0
    there: set[int] = set()
    decided: set[int] = set()
    for item, marks in found:
        meant = {turn: marks[turn] for turn in turns if turn < len(marks)}
        items += bool(meant)
        there |= meant.keys()
        decided |= {turn for turn, each in meant.items() if each is not None}
        if any(each is not None for each in meant.values()):
            parts = [_part(each, meant.get(turn)) for turn in turns for each in metrics]
            units.append(Unit(item.item_id, parts))
    if there - decided:
        return Figure(metric, part, [], 0, items)
    absent = [turn not in there for turn in turns for _ in metrics]
    kept = [
        Unit(unit.key, [each for each, no in zip(unit.parts, absent, strict=True) if not no])
        for unit in units
    ]
    return Figure(metric, part, kept, len(kept), items)


def _part(metric: str, marks: Marks | None) -> Part:
    if marks is None:
        return _NONE
    return instructions.part_of(metric, marks, range(len(marks["strict"])))


MULTIIF = Benchmark(
    name=NAME,
    about="the same as ifeval in conversations of three turns and eight languages",
    files=("multiIF_*.csv", "*.csv", "*.jsonl", "*.parquet"),
    read=read,
    answers="turns",
    check=check,
    figures=figures,
)
