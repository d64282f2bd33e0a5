"""A judge whose votes are of no use is told of, and the job ends with exit code 3.

Which votes are of use: tests/inspection/test_judge_faults.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import judge, sample
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, role

REASONED = "The output does what each of the constraints asks for, as far as can be seen. " * 2

Votes = Callable[[int], str]
"""The text of a vote by its number."""


def judged(
    folder: Path, votes: Votes, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, str]:
    """Judge 24 responses; returns the exit code and the warnings of the judge's job."""

    def answer(body: Body) -> Answer:
        if role(body) == "actor":
            return [f"answer {i}" for i in range(body["n"])]
        return [votes(i) for i in range(body["n"])]

    prompts = rounds.write_prompts(folder / "prompts.jsonl")
    with serving(answer) as server:
        line = command(folder / "run", prompts, server.url, "--responses", "2")
        assert sample.main(line) == 0
        capsys.readouterr()
        code = judge.main(["--run", str(folder / "run"), "--engine_url", server.url, *more])
    lines = capsys.readouterr().err.splitlines()
    return code, "\n".join(line for line in lines if line.startswith("warning: "))


def test_votes_most_of_which_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def votes(number: int) -> str:
        return f"Who knows {number}." if number < 3 else "Final Judgement: Yes"

    code, warnings = judged(tmp_path, votes, capsys, "--ask_again", "0")
    assert code == 3 and not failures(tmp_path / "run")
    assert "most votes of the judge cannot be read (72 of 120)" in warnings
    assert "'Who knows " in warnings and "--constrained on" in warnings


def test_votes_that_are_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def votes(_: int) -> str:
        return f"{REASONED}\nFinal Judgement: Yes"

    code, warnings = judged(tmp_path, votes, capsys)
    assert code == 3 and not failures(tmp_path / "run")
    assert "the judge ignores sampling: on each of 24 responses" in warnings
    assert "at temperature 0.7" in warnings and "Final Judgement: Yes'" in warnings
