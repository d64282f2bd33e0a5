"""Iterations with evaluation: what is asked of which model and when, and the loop's early end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import iterate, steps
from pipelines.execution import child
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.children import Children, settle
from tests.pipelines.rounds import query, role

ITEMS = 40
GOOD = {"base": 10, "actor-2": 30, "actor-3": 2}
"""How many of the items each actor answers as it should."""
WHOLE = [
    "evaluate 1 base base",
    "refine 1 base base",
    "dpo 1 base actor-2",
    "rft 1 base refiner-2",
    "evaluate 2 actor-2 refiner-2",
    "refine 2 actor-2 refiner-2",
    "dpo 2 actor-2 actor-3",
    "rft 2 refiner-2 refiner-3",
    "evaluate 3 actor-3 refiner-3",
]
SMALL = ["--iterations", "2", "--prompts", "prompts.jsonl", "--responses", "2", "--votes", "3"]
EVALUATE = ["--evaluate", "custom", "--data", "items.jsonl"]


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "scipy"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")


def speak(body: Body) -> Answer:
    first = body["messages"][0]["content"]
    if role(body) == "actor" and first.startswith("Item "):
        good = int(first.split()[1]) < GOOD[Path(body["model"]).name]
        return ["fine" if good else "well, no"]
    return rounds.story(body)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with serving(speak) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = settle(tmp_path / "place", monkeypatch)
    checks = [{"id": "punctuation:no_comma"}]
    rows = [{"prompt": f"Item {n} without commas", "checks": checks} for n in range(ITEMS)]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def working(place: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> Children:
    played = Children(server)
    monkeypatch.setattr(child, "run", played)
    return played


@pytest.fixture
def children(place: Path, monkeypatch: pytest.MonkeyPatch) -> Children:
    """Children that do nothing, and are said to have given something to train on."""
    played = Children()
    monkeypatch.setattr(child, "run", played)
    monkeypatch.setattr(steps, "rows", lambda *_: 5)
    return played


def run_it(*more: str) -> int:
    return iterate.main(["--run", "run", *SMALL, "--model", "base", *EVALUATE, *more])


def said_figures(said: str) -> list[str]:
    *_, row = (line for line in said.splitlines() if line.startswith("│ custom"))
    return [cell.split()[0] for cell in row.strip("│").split("│")[1:]]


def test_models_of_every_iteration_and_the_last_are_evaluated(
    working: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it() == 0
    assert working.done() == WHOLE
    held = query(
        "run",
        "select iteration, value, scored, items from evaluations "
        "where metric = 'prompt_strict' and part = '' order by iteration",
    )
    assert held == [(t, GOOD[name] / ITEMS, ITEMS, ITEMS) for t, name in enumerate(GOOD, 1)]
    assert said_figures(capsys.readouterr().out) == ["0.250", "0.750", "0.050"]

    asked = len(working.commands)
    assert run_it() == 0
    assert len(working.commands) == asked, "what is done is not started again"


def test_evaluation_says_what_the_loop_says(children: Children, place: Path) -> None:
    more = ["--slots", "7", "--judge_url", "http://localhost:9", "--evaluate_args", "--limit 3"]
    assert run_it(*more) == 0
    command = children.commands[0]
    assert command[2] == "pipelines.evaluate"
    told = " ".join(command[3:])
    for argument in (
        *("--run run", "--iteration 1", "--benchmark custom", "--data items.jsonl", "--limit 3"),
        *("--engine vllm", "--slots=7", "--judge_url=http://localhost:9"),
        *("--actor_model base", "--refiner_model base"),
    ):
        assert argument in told
    assert "--responses" not in told, "that of the rounds is another"


def test_stopped_at_any_step_it_goes_on_there(children: Children) -> None:
    for number, what in enumerate(WHOLE):
        children.commands.clear()
        children.ends = {1 if number else 0: 4}
        assert run_it() == 4
        assert children.done() == WHOLE[max(0, number - 1) : number + 1], what
    children.commands.clear()
    children.ends = {}
    assert run_it() == 0
    assert children.done() == WHOLE[-1:]


def test_more_iterations_go_on_from_the_last_evaluation(children: Children, place: Path) -> None:
    assert run_it("--iterations", "1") == 0
    assert children.done() == WHOLE[:5]
    children.commands.clear()
    rounds.write_prompts(place / "prompts.jsonl", rounds.PROMPTS[:8])
    assert run_it() == 0
    assert children.done() == WHOLE[5:]


def test_loop_that_is_done_is_evaluated_later(children: Children) -> None:
    assert iterate.main(["--run", "run", *SMALL, "--model", "base"]) == 0
    children.commands.clear()
    assert run_it() == 0
    assert children.done() == [each for each in WHOLE if each.startswith("evaluate")]


def test_worse_actor_ends_the_loop_and_stays_its_end(
    working: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--stop_when_worse", "--iterations", "3"]
    for _ in range(2):
        assert run_it(*more) == 0
        assert working.done() == WHOLE
        said = capsys.readouterr().out
        assert (
            "stopped: run/models/actor-3 is worse than run/models/actor-2: "
            "custom average fell by 0.7000 (95 %: 0."
        ) in said
        assert said_figures(said) == ["0.250", "0.750", "0.050"]


def test_better_actor_does_not_end_it(working: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GOOD, "actor-3", 31)
    assert run_it("--stop_when_worse") == 0
    assert working.done() == WHOLE


def test_fall_within_the_interval_does_not_end_it(
    working: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(GOOD, "actor-2", 9)
    monkeypatch.setitem(GOOD, "actor-3", 9)
    assert run_it("--stop_when_worse") == 0
    assert working.done() == WHOLE
    assert "stopped" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--evaluate", "ifevil"], "--evaluate: --benchmark: no benchmark 'ifevil'; there are "),
        (["--data", "elsewhere"], "--evaluate: custom: no such file or folder: elsewhere"),
        (["--evaluate_args", "--decoder bfs"], "--evaluate_args must not hold --decoder"),
        (["--evaluate_args", "--no_such 1"], "--evaluate: no option --no_such"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    children: Children, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert run_it(*more) == 2
    assert not children.commands
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("option", ["--stop_when_worse", "--data=x", "--evaluate_args=--limit 2"])
def test_options_of_an_evaluation_need_one(
    children: Children, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert iterate.main(["--run", "run", *SMALL, "--model", "base", option]) == 2
    assert "is for --evaluate" in capsys.readouterr().err


def test_model_that_is_gone_is_not_evaluated(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert iterate.main(["--run", "run", *SMALL, "--model", "base"]) == 0
    shutil.rmtree(place / "run/models/actor-2")
    assert run_it() == 2
    assert "actor-2 is gone, the actor of iteration 2" in capsys.readouterr().err
