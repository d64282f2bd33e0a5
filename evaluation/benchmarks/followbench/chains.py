"""FollowBench's published files: a file a category, in it chains of levels.

An example is a chain: level 0 is the plain instruction, level n has n constraints. Levels 1 to 5
are items, 820 in all.
"""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData
from evaluation.published import by_part
from schemas.items import Item

NAME = "followbench"
CATEGORIES = ("content", "situation", "style", "format", "mixed", "example")
LEVELS = range(1, 6)
ENDING = "_constraints"
ANSWER = "{answer}"
"""Where the answer stands in the target of an example."""

_REMEDY = "take it anew from data/ of github.com/YJiangcm/FollowBench"
_FIELDS = {
    **{"example_id": int, "level": int},
    **{"category": str, "source": str, "instruction": str, "target": str},
}


def read(paths: Sequence[Path]) -> Iterator[Item]:
    """Items of the six files, a category each.

    Raises:
        BadData: a file is missing, or not what was published.
    """
    files = by_part(paths, CATEGORIES, "category", lambda path: path.stem.removesuffix(ENDING))
    position = itertools.count()
    for category in CATEGORIES:
        if category not in files:
            raise BadData(f"{category}{ENDING}.json is missing; {_REMEDY}")
        for item in _items(category, files[category]):
            yield replace(item, position=next(position))


def _items(category: str, path: Path) -> Iterator[Item]:
    chains: dict[int, dict[int, str]] = {}
    rows = list(_rows(category, path))
    for number, row in rows:
        chain = chains.setdefault(row["example_id"], {})
        if row["level"] in chain:
            where = f"{path}: row {number}: example {row['example_id']}"
            raise BadData(f"{where} has level {row['level']} twice; {_REMEDY}")
        chain[row["level"]] = row["instruction"]
    first = 1 if category == "example" else 0
    for example, chain in chains.items():
        missing = [str(level) for level in range(first, LEVELS.stop) if level not in chain]
        if missing:
            lacks = ", ".join(missing)
            raise BadData(f"{path}: example {example} lacks level {lacks}; {_REMEDY}")
    for _, row in rows:
        example, level = row["example_id"], row["level"]
        if level:
            path_to = [chains[example][lower] for lower in range(first, level)]
            more = {"source": row["source"], "target": row["target"], "example": example}
            yield Item(
                *("", NAME, f"{category}/{example}/{level}", row["instruction"], 0),
                category=category,
                level=level,
                details=json.dumps(
                    more if category == "example" else more | {"path": path_to}, ensure_ascii=False
                ),
            )


def _rows(category: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with their numbers from 1."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read as JSON ({error}); {_REMEDY}") from None
    if not isinstance(rows, list) or not rows:
        raise BadData(f"{path}: holds no list of rows; {_REMEDY}")
    for number, row in enumerate(rows, 1):
        for fault in _faults(category, row):
            raise BadData(f"{path}: row {number}: {fault}; {_REMEDY}")
        yield number, row


def _faults(category: str, row: Any) -> Iterator[str]:
    """What is wrong with a row; what comes after the first may follow from it."""
    if not isinstance(row, dict):
        yield "no object"
    for name, kind in _FIELDS.items():
        if type(row.get(name)) is not kind:
            yield f"`{name}` is {json.dumps(row.get(name))[:80]}"
    if row["level"] not in (0, *LEVELS):
        yield f"level {row['level']} is not 0 to {LEVELS[-1]}"
    if {*row["category"].split(", ")} - {*(CATEGORIES if category == "mixed" else (category,))}:
        yield f"no category {row['category'][:80]} in {category}{ENDING}.json"
    if row["level"] and not row["instruction"].strip():
        yield "`instruction` is empty"
    if category == "example" and ANSWER not in row["target"]:
        yield f"`target` has no {ANSWER}"
    if row["level"] and row["source"] == "CONLL2003" and not _is_list(row["target"]):
        yield "`target` is no list"


def _is_list(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), list)
    except (ValueError, SyntaxError):
        return False
