"""HumanEval (arXiv 2107.03374): 164 functions to be written, as lm-eval's `humaneval_instruct` asks
for them: the answer goes on where the problem's text ends.

lm-eval runs such programs with all that its own process may do. Here the sandbox runs them
(`spar_core.sandbox`); of those that its interpreter cannot run nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluation import harness
from evaluation.benchmark import Benchmark, Finding, Hub, details
from schemas.items import Item
from spar_core import sandbox

NAME = "humaneval"
METRIC = "pass@1"

SECONDS = 10.0
MEMORY_MB = 512

_FENCE = "```"
_SCORING = ("metric_list", "filter_list", "unsafe_code", "include")
_REMEDY = "take HumanEval.jsonl.gz anew from data/ of github.com/openai/human-eval"


def define() -> dict[str, Any]:
    """What is asked; how lm-eval would score it is left out."""
    files = ("humaneval.yaml", "humaneval_instruct.yaml")
    base, own = (harness.definition(NAME, file) for file in files)
    return {name: value for name, value in (base | own).items() if name not in _SCORING}


def read(paths: Sequence[Path]) -> Iterator[Item]:
    columns = dict.fromkeys(("task_id", "prompt", "test", "entry_point"), str)
    yield from harness.items(NAME, define(), harness.rows(paths, columns, _REMEDY))


def program(doc: harness.Row, response: str) -> str:
    """The function with what was answered up to the end of its block, and the test of it."""
    written = doc["prompt"] + response.partition(_FENCE)[0]
    return f"{written}\n{doc['test']}\ncheck({doc['entry_point']})"


def check(item: Item, response: str) -> list[Finding]:
    """1 where the program passes its test, 0 where it does not or comes to no end."""
    code = program(details(item)["doc"], response)
    ran = sandbox.run(code, seconds=SECONDS, memory_mb=MEMORY_MB)
    value = None if ran.outcome == "unsupported" else float(ran.outcome == "passed")
    critique = "" if value else f"{ran.outcome}: {ran.message}"
    return [Finding(METRIC, value, critique=critique)]


HUMANEVAL = Benchmark(
    name=NAME,
    about="functions to be written, by lm-eval's humaneval_instruct; a sandbox runs them",
    files=("HumanEval.jsonl.gz", "HumanEval.jsonl", "openai_humaneval/test-*.parquet"),
    read=read,
    answers="chat",
    check=check,
    figures=partial(harness.figures, METRIC),
    hub=Hub(
        "openai/openai_humaneval",
        "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
        ("openai_humaneval/test-00000-of-00001.parquet",),
    ),
)
