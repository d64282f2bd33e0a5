"""MMLU (arXiv 2009.03300): questions of 57 subjects with four choices each, as lm-eval's
`mmlu_generative` asks them after five examples of the subject: the answer is a letter.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluation import harness
from evaluation.benchmark import BadData, Benchmark, Hub
from schemas.items import Item

NAME = "mmlu"
SHOTS = 5

_FOLDER = ("mmlu", "generative")
_SETS = ("dev", "test")
_REMEDY = "take dev and test of all subjects anew from cais/mmlu on the Hub, or as CSV files"
_COLUMNS = 6

Sets = dict[tuple[str, str], list[dict[str, Any]]]
"""Rows by subject and set."""


def define() -> dict[str, Any]:
    task = harness.definition(*_FOLDER, "_default_template_yaml")
    return task | {"task": f"{NAME}_generative", "num_fewshot": SHOTS}


def read(paths: Sequence[Path]) -> Iterator[Item]:
    """The items of all subjects.

    Raises:
        BadData: a file is not as it should be, or a subject lacks its questions or examples.
    """
    sets: Sets = {}
    for path in paths:
        for place, row in _parquet(path) if path.suffix == ".parquet" else _csv(path):
            sets.setdefault(place, []).append(row)
    subjects = _subjects()
    _look(paths[0].parent, sets, subjects)
    position = 0
    for subject in subjects:
        asked = sets[subject, "test"]
        own = harness.definition(*_FOLDER, f"mmlu_{subject}.yaml")
        task = define() | {name: own[name] for name in ("description", "task")}
        shots = sets[subject, "dev"]
        yield from harness.items(NAME, task, asked, shots, category=subject, first=position)
        position += len(asked)


def _subjects() -> list[str]:
    """Those that lm-eval has tasks for: all 57."""
    files = harness.folder().joinpath(*_FOLDER).glob("mmlu_*.yaml")
    return sorted(path.stem.removeprefix("mmlu_") for path in files)


def _look(folder: Path, sets: Sets, subjects: Sequence[str]) -> None:
    for strange in sorted({subject for subject, _ in sets} - {*subjects}):
        raise BadData(f"{folder}: lm-eval knows no subject {strange}; {_REMEDY}")
    counts = [[len(sets.get((subject, each), ())) for each in _SETS] for subject in subjects]
    lacking = [
        f"{subject} has {test} questions and {dev} of {SHOTS} examples"
        for subject, (dev, test) in zip(subjects, counts, strict=True)
        if dev < SHOTS or not test
    ]
    if lacking:
        raise BadData(
            f"{folder}: {len(lacking)} of {len(subjects)} subjects are incomplete: {lacking[0]}; "
            f"{_REMEDY}"
        )


def _csv(path: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Rows of a subject's file: a question, four choices, and the number or letter of the right."""
    subject, _, which = path.stem.rpartition("_")
    if which not in _SETS:
        raise BadData(f"{path}: neither {' nor '.join(_SETS)} in its name; {_REMEDY}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if number == 1 and row[:1] == ["question"]:
                    continue
                yield (subject, which), _row(f"{path}: row {number}", row)
    except (OSError, ValueError, csv.Error) as error:
        raise BadData(f"{path}: cannot be read ({error}); {_REMEDY}") from None


def _row(where: str, row: Sequence[str]) -> dict[str, Any]:
    texts = all(isinstance(each, str) for each in row)
    if len(row) != _COLUMNS or not texts or row[-1] not in (*"0123", *"ABCD"):
        raise BadData(f"{where}: not a question, four choices and one of 0 to 3; {_REMEDY}")
    question, *choices, right = row
    answer = int(right) if right.isdigit() else "ABCD".index(right)
    return {"question": question, "choices": choices, "answer": answer}


def _parquet(path: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    which = path.name.partition("-")[0]
    if which not in _SETS:
        raise BadData(f"{path}: neither {' nor '.join(_SETS)} in its name; {_REMEDY}")
    columns = {"question": str, "subject": str, "choices": list, "answer": int}
    for number, row in enumerate(harness.rows([path], columns, _REMEDY), 1):
        cells = [row["question"], *row["choices"], str(row["answer"])]
        yield (row["subject"], which), _row(f"{path}: row {number}", cells)


MMLU = Benchmark(
    name=NAME,
    about="questions of 57 subjects with four choices, by lm-eval's mmlu_generative",
    files=("*/*_[dt]e*.csv", "*_[dt]e*.csv", "all/[dt]e*.parquet"),
    read=read,
    answers="chat",
    check=partial(harness.check, define),
    figures=partial(harness.figures, harness.named("exact_match", "get_response")),
    hub=Hub(
        "cais/mmlu",
        "c30699e8356da336a370243923dbaf21066bb9fe",
        ("all/dev-00000-of-00001.parquet", "all/test-00000-of-00001.parquet"),
    ),
)
