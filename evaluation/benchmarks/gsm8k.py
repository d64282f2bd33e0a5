"""GSM8K (arXiv 2110.14168): 1,319 problems of school mathematics, as lm-eval's `gsm8k_cot` asks
them: after eight worked examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluation import harness
from evaluation.benchmark import Benchmark, Hub
from schemas.items import Item

NAME = "gsm8k"

_REMEDY = "take test.jsonl anew from github.com/openai/grade-school-math"


def define() -> dict[str, Any]:
    return harness.definition("gsm8k", "gsm8k-cot.yaml")


def read(paths: Sequence[Path]) -> Iterator[Item]:
    rows = harness.rows(paths, {"question": str, "answer": str}, _REMEDY)
    yield from harness.items(NAME, define(), rows)


GSM8K = Benchmark(
    name=NAME,
    about="problems of school mathematics, by lm-eval's gsm8k_cot",
    files=("*gsm8k*.jsonl", "test.jsonl", "main/test-*.parquet"),
    read=read,
    answers="chat",
    check=partial(harness.check, define),
    figures=partial(harness.figures, harness.named("exact_match", "flexible-extract")),
    hub=Hub(
        "openai/gsm8k",
        "e53f048856ff4f594e959d75785d2c2d37b678ee",
        ("main/test-00000-of-00001.parquet",),
    ),
)
