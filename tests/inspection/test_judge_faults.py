"""Judgements whose votes are of no use, and those that only look so.

That a job ends with exit code 3: tests/pipelines/test_judge_faults.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inspection.judge_faults import judge_faults
from spar_core.stages.judge import JUDGE
from spar_core.testing import run_stage
from tests.committed import commit
from tests.spar_core.rows import prompts, respond

REASONED = "The output does what each of the constraints asks for, as far as can be seen. " * 2

Votes = Callable[[int], str]
"""The text of a vote by its number."""


def found(run: Path, votes: Votes, *, temperature: float = 0.7, responses: int = 24) -> list[str]:
    """Return the faults of a judge who votes so on every response."""
    tables = prompts()
    for number in range(responses):
        respond(tables, f"r{number}")
    options = {"ask_again": 0, "judge_temperature": temperature}
    made = run_stage(JUDGE, tables, lambda request: [votes(i) for i in range(request.n)], **options)
    commit(run, "judgements", made["judgements"])
    return judge_faults(str(run), 1, "main", temperature)


def test_votes_most_of_which_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    def votes(number: int) -> str:
        return f"Who knows {number}." if number < 3 else "Final Judgement: Yes"

    [fault] = found(tmp_path, votes)
    assert "most votes of the judge cannot be read (72 of 120)" in fault
    assert "'Who knows " in fault and "--constrained on" in fault


def test_votes_that_are_all_the_same_are_told_of(tmp_path: Path) -> None:
    [fault] = found(tmp_path, lambda _: f"{REASONED}\nFinal Judgement: Yes")
    assert "the judge ignores sampling: on each of 24 responses" in fault
    assert "at temperature 0.7" in fault and "Final Judgement: Yes'" in fault


@pytest.mark.parametrize(
    ("votes", "temperature", "responses"),
    [
        (lambda number: "Who knows." if number < 2 else "Final Judgement: Yes", 0.7, 24),
        (lambda _: f"{REASONED}\nFinal Judgement: Yes", 0, 24),
        (lambda _: "Final Judgement: Yes", 0.7, 24),
        (lambda number: f"{REASONED} {number // 4}\nFinal Judgement: Yes", 0.7, 24),
        (lambda _: f"{REASONED}\nFinal Judgement: Yes", 0.7, 19),
        (lambda _: "Who knows.", 0.7, 3),
    ],
    ids=["few unread", "greedy", "bare verdicts", "one differs", "few responses", "few votes"],
)
def test_votes_that_may_be_so_are_no_fault(
    votes: Votes, temperature: float, responses: int, tmp_path: Path
) -> None:
    assert found(tmp_path, votes, temperature=temperature, responses=responses) == []
