"""Prompts of one's own: held out of a run, answered before and after, compared by a judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import evaluate
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines.rounds import query


def says(body: Body) -> Answer:
    """Models whose answers are their names, `better` at length; a judge who prefers `better`."""
    text = body["messages"][-1]["content"]
    if "### Answer A" not in text:
        name = body["model"]
        return [f"{name} says {'a lot ' if name == 'better' else ''}of {text}"]
    first = text.partition("### Answer A\n")[2]
    return [f"So.\nBetter answer: {'A' if first.startswith('better') else 'B'}"]


@pytest.fixture
def servers() -> tuple[LoopbackServer, LoopbackServer]:
    with serving(says) as old, serving(says) as new:
        old.models, new.models = ["base"], ["better"]
        yield old, new


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text("question\n" + "".join(f"What is {n}?\n" for n in range(6)))
    return path


def command(run: Path, prompts: Path, *more: str) -> list[str]:
    return ["--run", str(run), "--benchmark", "custom", "--data", str(prompts), *more]


def test_answers_before_and_after_are_compared(
    tmp_path: Path,
    prompts: Path,
    servers: tuple[LoopbackServer, LoopbackServer],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, (old, new) = tmp_path / "run", servers
    assert evaluate.main(command(run, prompts, "--engine_url", old.url)) == 0
    assert "no prompt has checks" in capsys.readouterr().out
    assert len(old.bodies) == 6
    after = command(run, prompts, "--iteration", "2", "--engine_url", new.url)
    assert evaluate.main(after) == 0, "what is answered without --against is not answered again"
    capsys.readouterr()
    compared = [*after, "--judge_url", old.url, "--against", "1"]
    assert evaluate.main(compared) == 0
    assert len(new.bodies) == 6
    assert len(old.bodies) == 6 + 12
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "The new answers are better than those of iteration 1 (base), by the judge's word: "
        "6 won, 0 tied, 0 lost." in said
    )
    rows = query(run, "select metric, value, model, scorer, scored, items from evaluations "
                      "where benchmark = 'versus' order by metric")  # fmt: skip
    assert rows == [
        ("prefers_first", 0.5, "better", "base", 6, 6),
        ("prefers_longer", 1.0, "better", "base", 6, 6),
        ("win_rate", 1.0, "better", "base", 6, 6),
    ]
    assert evaluate.main(compared) == 0
    assert len(old.bodies) == 6 + 12, "the same command asks nothing again"


def test_what_cannot_be_compared_is_one_line(
    tmp_path: Path,
    prompts: Path,
    servers: tuple[LoopbackServer, LoopbackServer],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, (old, new) = tmp_path / "run", servers
    asked = command(run, prompts, "--engine_url", new.url)
    judge = ["--judge_url", old.url]
    for more, said in (
        (["--against", "one"], "--against"),
        (["--against", "1", *judge], "is this evaluation itself"),
        (["--iteration", "2", "--against", "1"], "--against needs a judge"),
        (["--iteration", "2", "--against", "1", *judge], "holds no answers to these prompts"),
    ):
        assert evaluate.main([*asked, *more]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    ifeval = ["--run", str(run), "--benchmark", "ifeval", "--against", "1", *judge]
    assert evaluate.main(ifeval) == 2
    assert "--against is for --benchmark custom" in capsys.readouterr().err
    assert evaluate.main(["--run", str(run), "--benchmark", "versus"]) == 2
    assert "no benchmark 'versus'" in capsys.readouterr().err
    assert not new.bodies
