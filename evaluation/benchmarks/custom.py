"""Prompts of one's own with checks (docs/checks.md), scored as IFEval is.

They mean what the same checks mean in a run's prompts: keywords stand for themselves, and a
response of more than 20,000 characters is not decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from evaluation.benchmark import Benchmark
from evaluation.benchmarks import instructions
from schemas.prompts import Check
from spar_core.checks.reading import read_checks
from spar_core.checks.strict import follows
from spar_core.checks.undecided import Undecided

NAME = "custom"


def decide(check: Check, prompt: str, responses: Sequence[str]) -> bool:
    """Whether one of the responses passes a check.

    Raises:
        Undecided: none that could be checked does. NoChecker: the library is not installed.
    """
    undecided = False
    for response in responses:
        passes = follows([asdict(check)], response)
        if passes:
            return True
        undecided = undecided or passes is None
    if undecided:
        raise Undecided("a checker could not run; the log says why")
    return False


CUSTOM = Benchmark(
    name=NAME,
    about="prompts of your own with checks: any JSON lines with `prompt` and `checks`",
    files=("*.jsonl",),
    read=partial(
        instructions.read,
        NAME,
        ("prompt",),
        read_checks,
        "mend the row or take it out (docs/checks.md says what checks are)",
    ),
    check=partial(instructions.check, decide),
    figures=partial(instructions.figures, (instructions.AVERAGE, *instructions.METRICS)),
)
