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

_SETS = ("dev", "test")
_REMEDY = "take dev and test of all subjects anew from cais/mmlu on the Hub, or as CSV files"
_COLUMNS = 6

Sets = dict[tuple[str, str], list[dict[str, Any]]]
"""Rows by subject and set."""


def define() -> dict[str, Any]:
    task = harness.definition("mmlu", "generative", "_default_template_yaml")
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
    subjects = sorted({subject for subject, _ in sets})
    for subject in subjects:
        dev, test = (len(sets.get((subject, each), ())) for each in _SETS)
        if dev < SHOTS or not test:
            raise BadData(
                f"{paths[0].parent}: {subject} has {test} questions and {dev} of {SHOTS} examples; "
                f"{_REMEDY}"
            )
    if not subjects:
        raise BadData(f"{', '.join(map(str, paths))}: no rows; {_REMEDY}")
    position = 0
    for subject in subjects:
        asked = sets[subject, "test"]
        task = define() | _named(subject)
        shots = sets[subject, "dev"]
        yield from harness.items(NAME, task, asked, shots, category=subject, first=position)
        position += len(asked)


def _named(subject: str) -> dict[str, Any]:
    """What lm-eval says of a subject; one that it does not know is called by its name."""
    try:
        own = harness.definition("mmlu", "generative", f"mmlu_{subject}.yaml")
    except FileNotFoundError:
        raise BadData(f"{NAME}: lm-eval knows no subject {subject}; {_REMEDY}") from None
    return {"description": own["description"], "task": own["task"]}


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
    if len(row) != _COLUMNS or row[-1] not in (*"0123", *"ABCD"):
        raise BadData(f"{where}: not a question, four choices and one of 0 to 3; {_REMEDY}")
    question, *choices, right = row
    answer = int(right) if right.isdigit() else "ABCD".index(right)
    return {"question": question, "choices": choices, "answer": answer}


def _parquet(path: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    which = path.name.partition("-")[0]
    if which not in _SETS:
        raise BadData(f"{path}: neither {' nor '.join(_SETS)} in its name; {_REMEDY}")
    for row in harness.rows([path], ("question", "subject", "choices", "answer"), _REMEDY):
        yield (row.pop("subject"), which), row


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
