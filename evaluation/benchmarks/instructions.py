"""What IFEval, IFBench and prompts of one's own share: instructions that programs check.

`strict` takes the response as it is. `loose` is met where any of eight variants meets it, so that a
line before or after the answer and emphasis are forgiven. As in the published code each instruction
is decided by itself: one may be met by another variant than the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData, Figure, Finding, Scored
from evaluation.published import rows_of
from schemas.evaluations import Part, Unit
from schemas.items import Item
from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.undecided import Undecided

AVERAGE = "average"
METRICS = ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose")

Row = Mapping[str, Any]
Decide = Callable[[Check, str, Sequence[str]], bool]
"""Whether one of the responses to a prompt passes a check.

Raises spar_core.checks.undecided.Undecided: it cannot be run.
"""

_LOOKS = ("strict", "loose")


def variants(response: str) -> list[str]:
    """A response as it is, without its first line, its last, or both, and each without asterisks.

    Those that are the same stand once.
    """
    lines = response.split("\n")
    parts = (lines[1:], lines[:-1], lines[1:-1])
    kept = [response, *("\n".join(part).strip() for part in parts)]
    return list(dict.fromkeys([*kept, *(each.replace("*", "") for each in kept)]))


def check(decide: Decide, item: Item, response: str) -> list[Finding]:
    """`strict` and `loose` of each instruction; null, and why, where it cannot be decided.

    Raises:
        NoChecker: the checkers are not installed.
    """
    tried = variants(response)
    return [
        _finding(decide, item.prompt, number, each, look, texts)
        for number, each in enumerate(item.checks or ())
        for look, texts in zip(_LOOKS, (tried[:1], tried), strict=True)
    ]


def _finding(
    decide: Decide, prompt: str, number: int, check: Check, look: str, texts: Sequence[str]
) -> Finding:
    try:
        return Finding(look, float(decide(check, prompt, texts)), number, check.id)
    except Undecided as error:
        return Finding(look, None, number, check.id, str(error))


def figures(order: Sequence[str], scored: Sequence[Scored]) -> list[Figure]:
    """The figures named, then those of them that are of instructions, for each kind.

    average: the mean of METRICS, as SPaR reports it (arXiv 2412.11605). Units are the prompts of
    which all instructions were decided, also in the figures of a kind.
    """
    decided = [(each.item, marks_of(each)) for each in scored]
    kinds = sorted({check.id for item, _ in decided for check in item.checks or ()})
    of_kinds = [metric for metric in order if metric.startswith("instruction")]
    return [_figure(metric, "", decided) for metric in order] + [
        _figure(metric, kind, decided) for kind in kinds for metric in of_kinds
    ]


Marks = dict[str, list[float]]
"""By look what was found of each instruction of an answer in turn."""


def marks_of(scored: Scored) -> Marks | None:
    """By look what was found of each instruction in turn; None where any is undecided."""
    numbers = range(len(scored.item.checks or ()))
    found = {
        (finding.metric, finding.number): finding.value
        for finding in scored.findings
        if finding.value is not None
    }
    if not numbers or any((look, number) not in found for look in _LOOKS for number in numbers):
        return None
    return {look: [found[look, number] for number in numbers] for look in _LOOKS}


def _figure(metric: str, kind: str, decided: Sequence[tuple[Item, Marks | None]]) -> Figure:
    metrics = METRICS if metric == AVERAGE else (metric,)
    units, items = [], 0
    for item, marks in decided:
        numbers = [n for n, check in enumerate(item.checks or ()) if kind in ("", check.id)]
        items += bool(numbers)
        if numbers and marks is not None:
            units.append(Unit(item.item_id, [part_of(each, marks, numbers) for each in metrics]))
    return Figure(metric, kind, units, len(units), items)


def part_of(metric: str, marks: Marks, numbers: Sequence[int]) -> Part:
    """A prompt counts as one, met where all is, or as so many instructions."""
    level, _, look = metric.partition("_")
    met = [marks[look][number] for number in numbers]
    return Part(min(met), 1.0) if level == "prompt" else Part(sum(met), float(len(met)))


def read(
    name: str,
    columns: Sequence[str],
    checks_of: Callable[[Row], list[Check] | None],
    remedy: str,
    paths: Sequence[Path],
) -> Iterator[Item]:
    """The items of a benchmark's files, JSON lines or Parquet.

    Args:
        columns: that every row must have; a row without `key` is called by its file and number.
        checks_of: the instructions of a row; raises BadChecks.
        remedy: what to do about a file that is not as it should be.

    Raises:
        BadData: a file is missing, or a row is not an item. NoChecker: there are no checkers.
    """
    seen: dict[tuple[str, str], str] = {}
    position = 0
    for path in paths:
        for number, row in rows_of(path, remedy):
            where = f"{path}: row {number}"
            try:
                item = _item(name, columns, checks_of, row, f"{path.stem}:{number}", position)
                for column, value in (("key", item.key), ("prompt", item.prompt)):
                    if before := seen.get((column, value)):
                        raise BadChecks(f"its `{column}` is that of {before}")
                    seen[column, value] = where
            except BadChecks as error:
                raise BadData(f"{where}: {error}; {remedy}") from None
            yield item
            position += 1
    if not position:
        files = ", ".join(map(str, paths)) or "no file"
        raise BadData(f"{files}: no rows; {remedy}")


def _item(
    name: str,
    columns: Sequence[str],
    checks_of: Callable[[Row], list[Check] | None],
    row: Any,
    place: str,
    position: int,
) -> Item:
    if not isinstance(row, Mapping):
        raise BadChecks("no object")
    missing = [column for column in columns if row.get(column) is None]
    if missing:
        raise BadChecks(f"no `{missing[0]}`")
    prompt, key = row["prompt"], row.get("key")
    if not isinstance(key, str | int | None):
        raise BadChecks(f"`key` is {json.dumps(key, default=str)[:80]}, not text or a number")
    if not isinstance(prompt, str) or not prompt.strip() or not _is_unicode(prompt):
        raise BadChecks(f"`prompt` is {json.dumps(prompt, default=str)[:80]}, not text")
    checks = checks_of(row)
    if not checks:
        raise BadChecks("it has no checks, so nothing can be scored")
    return Item("", name, place if key is None else str(key), prompt, position, checks=checks)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
