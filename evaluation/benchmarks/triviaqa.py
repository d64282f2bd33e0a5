"""TriviaQA (arXiv 1705.03551): questions whose answers have to be known, as lm-eval's `triviaqa`
asks them, without any text that holds the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluation import harness
from evaluation.benchmark import BadData, Benchmark, Hub
from schemas.items import Item

NAME = "triviaqa"

_REMEDY = "take rc.nocontext's validation file anew from mandarjoshi/trivia_qa on the Hub"


def define() -> dict[str, Any]:
    return harness.definition("triviaqa", "default.yaml")


def read(paths: Sequence[Path]) -> Iterator[Item]:
    rows = harness.rows(paths, {"question": str, "answer": dict}, _REMEDY)
    for number, row in enumerate(rows, 1):
        aliases = row["answer"].get("aliases")
        if (
            not isinstance(aliases, list)
            or not aliases
            or {type(each) for each in aliases} != {str}
        ):
            raise BadData(f"{paths[0]}: item {number}: no `answer.aliases`; {_REMEDY}")
        row["answer"] = {"aliases": aliases}
    yield from harness.items(NAME, define(), rows)


TRIVIAQA = Benchmark(
    name=NAME,
    about="questions of general knowledge, by lm-eval's triviaqa",
    files=("*trivia*.jsonl", "rc.nocontext/validation-*.parquet"),
    read=read,
    answers="chat",
    check=partial(harness.check, define),
    figures=partial(harness.figures, harness.named("exact_match", "remove_whitespace")),
    hub=Hub(
        "mandarjoshi/trivia_qa",
        "0f7faf33a3908546c6fd5b73a660e0f8ff173c2f",
        ("rc.nocontext/validation-00000-of-00001.parquet",),
    ),
)
