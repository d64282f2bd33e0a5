"""Iterations with evaluation: what is asked of which model and when, and the loop's early end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.benchmarks import BENCHMARKS
from pipelines import iterate, steps
from pipelines.execution import child
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds, standins
from tests.pipelines.children import Children, settle
from tests.pipelines.gates import finish
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
SUBSETS = ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual")


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
    write_items(folder / "items.jsonl", ITEMS)
    return folder


@pytest.fixture
def evaluated(place: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> Children:
    """Children that evaluate, and whose rounds do nothing."""
    played = Children(server, pretended={"refine"})
    monkeypatch.setattr(child, "run", played)
    monkeypatch.setattr(steps, "rows", lambda *_: 5)
    return played


def write_items(path: Path, count: int) -> None:
    checks = [{"id": "punctuation:no_comma"}]
    rows = [{"prompt": f"Item {n} without commas", "checks": checks} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_outputs(folder: Path) -> None:
    """LLMBar's files, of an instruction each; the first output is the one that follows it."""
    folder.mkdir(parents=True)
    row = {"input": "Say a.", "output_1": "a q=1.0", "output_2": "b q=0.0", "label": 1}
    for subset in SUBSETS:
        (folder / f"{subset}.json").write_text(json.dumps([row]))


def run_it(*more: str) -> int:
    return iterate.main(["--run", "run", *SMALL, "--model", "base", *EVALUATE, *more])


def said_figures(said: str) -> list[str]:
    *_, row = (line for line in said.splitlines() if line.startswith("│ custom"))
    return [cell.split()[0] for cell in row.strip("│").split("│")[1:]]


def test_models_of_every_iteration_and_the_last_are_evaluated(
    working: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ["--iterations", "1"]
    assert run_it(*one) == 0
    assert working.done() == [*WHOLE[:4], "evaluate 2 actor-2 refiner-2"]
    held = query(
        "run",
        "select iteration, value, scored, items from evaluations "
        "where metric = 'prompt_strict' and part = '' order by iteration",
    )
    models = enumerate(("base", "actor-2"), 1)
    assert held == [(t, GOOD[name] / ITEMS, ITEMS, ITEMS) for t, name in models]
    assert said_figures(capsys.readouterr().out) == ["0.250", "0.750"]

    asked = len(working.commands)
    assert run_it(*one) == 0
    assert len(working.commands) == asked, "what is done is not started again"


def test_evaluation_says_what_the_loop_says(children: Children) -> None:
    more = ["--slots", "7", "--judge_url", "http://localhost:9", "--evaluate_args", "--limit 3"]
    more += ["--votes", "5", "--engine_body", '{"top_k": 20}', "--judge_body", "{}"]
    more += ["--judge_headers", "api-key=env:AZURE_KEY", "X-Title=mine"]
    assert run_it(*more) == 0
    command = children.commands[0]
    assert command[2] == "pipelines.evaluate"
    told = " ".join(command[3:])
    for argument in (
        *("--run run", "--iteration 1", "--benchmark custom", "--data=items.jsonl", "--limit 3"),
        *("--engine vllm", "--slots=7", "--judge_url=http://localhost:9"),
        *("--actor_model base", "--refiner_model base"),
        *('--engine_body={"top_k":20}', "--judge_body={}"),
        *("--judge_headers=api-key=env:AZURE_KEY", "--judge_headers=X-Title=mine"),
    ):
        assert argument in told
    for option in ("--responses", "--votes", "--prompts", "--iterations"):
        assert option not in told, "that is for the rounds"


def test_own_prompts_are_those_that_the_run_holds_out(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--run", "run", *SMALL, "--model", "base", "--evaluate", "custom"]
    assert iterate.main(own) == 2
    assert "holds no prompts out: give --data FILES" in capsys.readouterr().err
    assert iterate.main([*own, "--hold_out", "2"]) == 0
    assert children.done() == WHOLE
    assert not any(word.startswith("--data") for word in children.commands[0])
    assert query("run", "select count(*) from prompts where split = 'held_out'") == [(2,)]
    said = capsys.readouterr().out
    assert "Next: " in said and "inspection.compare --runs run" in said
    children.commands.clear()
    assert iterate.main(own) == 0, "the run holds them"
    assert children.commands == []


def test_a_folder_of_other_things_is_no_run(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "run").mkdir()
    (place / "run" / "thesis.txt").write_text("years")
    assert run_it() == 2
    assert "holds other things (thesis.txt)" in capsys.readouterr().err
    assert [path.name for path in (place / "run").iterdir()] == ["thesis.txt"]
    assert not children.commands
    assert run_it("--force") == 0


def test_without_evaluations_the_last_actor_is_to_be_evaluated(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    assert iterate.main(["--run", "run", *SMALL, "--model", "base"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Next: ")]
    assert line.endswith(
        "pipelines.evaluate --run run --benchmark custom --data FILES --engine vllm --model "
        "run/models/actor-3 --iteration 3"
    )


def test_refiner_judges_what_a_judge_is_measured_by_whoever_judges_answers(
    evaluated: Children, server: LoopbackServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_outputs(place / "bench/llmbar")
    write_items(place / "bench/items.jsonl", 4)
    more = ["--evaluate", "custom,llmbar", "--data", "bench", "--iterations", "1"]
    more += ["--evaluate_args", f"--judge-url {server.url} --judge-model stays"]
    assert run_it(*more) == 0
    at_first, at_last = ["evaluate 1 base base"] * 2, ["evaluate 2 actor-2 refiner-2"] * 2
    assert evaluated.done() == [*at_first, *WHOLE[1:4], *at_last]
    assert not any("stays" in each for each in evaluated.commands[2]), "no data round's judge"
    query_of = "select iteration, variant, benchmark, {} from evaluations where {} order by all"
    whole = "part = '' and metric in ('average', 'accuracy')"
    assert query("run", query_of.format("model", whole)) == [
        (1, "main", "custom", "base"),
        (1, "refiner", "llmbar", "base"),
        (2, "main", "custom", "run/models/actor-2"),
        (2, "refiner", "llmbar", "run/models/refiner-2"),
    ]
    said = capsys.readouterr().out
    assert "llmbar accuracy" in said
    assert "1.000 (1.000 to 1.000)" in said
    evaluated.commands.clear()
    assert run_it(*more) == 0
    assert evaluated.done() == []


def test_refiner_judges_all_where_nobody_else_does(children: Children, place: Path) -> None:
    write_outputs(place / "bench/llmbar")
    shutil.move(place / "items.jsonl", place / "bench/items.jsonl")
    assert run_it("--evaluate", "custom,llmbar", "--data", "bench") == 0
    assert children.done() == WHOLE
    assert "custom,llmbar" in children.commands[0]


def test_answers_need_a_judge_that_stays(
    children: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graded = replace(BENCHMARKS["custom"], grade=BENCHMARKS["llmbar"].grade)
    monkeypatch.setitem(BENCHMARKS, "custom", graded)
    assert run_it() == 2
    assert not children.commands
    assert "--evaluate: custom needs a judge that stays the same" in capsys.readouterr().err
    assert run_it("--judge_model", "base") == 0
    assert children.done() == WHOLE


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


@pytest.mark.slow
def test_stopped_amid_an_evaluation_every_item_is_answered_once(place: Path) -> None:
    count = 600
    write_items(place / "items.jsonl", count)
    argv = ["--run", "run", *SMALL, "--iterations", "1", "--model", "base", *EVALUATE]
    process = standins.start(place, *argv)
    deadline = time.monotonic() + 120
    while not (place / "run/_journal/iteration=1/decode.sqlite").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    code, _, error = finish(process)
    assert code == 4
    assert error.startswith("error: stopped: interrupted")
    assert "Traceback" not in error
    held = query("run", "select count(*) from evaluations")
    assert held == [(0,)], "it was stopped before its end"

    code, out, error = finish(standins.start(place, *argv))
    assert (code, error) == (0, ""), out
    sql = "select iteration, count(*), count(distinct item_id) from answers group by 1 order by 1"
    assert query("run", sql) == [(1, count, count), (2, count, count)]


@pytest.mark.slow
def test_more_iterations_go_on_from_the_last_evaluation(evaluated: Children, place: Path) -> None:
    assert run_it("--iterations", "1") == 0
    assert evaluated.done() == WHOLE[:5]
    evaluated.commands.clear()
    rounds.write_prompts(place / "prompts.jsonl", rounds.PROMPTS[:8])
    assert run_it() == 0
    assert evaluated.done() == WHOLE[5:]
    sql = "select iteration, count(*) from prompts group by 1 order by 1"
    assert query("run", sql) == [(1, 4), (2, 4)]


def test_how_the_engine_runs_is_no_reason_to_evaluate_again(
    children: Children, place: Path
) -> None:
    assert run_it() == 0
    shutil.rmtree(place / "run/models/actor-2")
    children.commands.clear()
    assert run_it("--slots", "3", "--direct_num_workers", "1") == 0
    assert children.done() == []
    shutil.copytree(place / "base", place / "run/models/actor-2")
    assert run_it("--evaluate_args", "--limit 3") == 0
    assert children.done() == [each for each in WHOLE if each.startswith("evaluate")]


def test_loop_that_is_done_is_evaluated_later(children: Children) -> None:
    assert iterate.main(["--run", "run", *SMALL, "--model", "base"]) == 0
    children.commands.clear()
    assert run_it() == 0
    assert children.done() == [each for each in WHOLE if each.startswith("evaluate")]


def test_worse_actor_ends_the_loop_and_stays_its_end(
    evaluated: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--stop_when_worse", "--iterations", "3"]
    for _ in range(2):
        assert run_it(*more) == 0
        assert evaluated.done() == WHOLE
        said = capsys.readouterr().out
        assert (
            "stopped: run/models/actor-3 is worse than run/models/actor-2: "
            "custom average fell by 0.7000 (95 %: 0."
        ) in said
        assert "40 shared units). The best so far is run/models/actor-2 (0.7500)." in said
        assert said_figures(said) == ["0.250", "0.750", "0.050"]


@pytest.mark.slow
def test_best_may_be_an_older_one(
    evaluated: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(GOOD, "base", 31)
    assert run_it("--stop_when_worse") == 0
    assert "The best so far is base (0.7750)." in capsys.readouterr().out


@pytest.mark.slow
def test_loop_that_went_on_from_a_worse_actor_is_not_ended_there(
    evaluated: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(GOOD, "base", 40)
    monkeypatch.setitem(GOOD, "actor-2", 3)
    assert run_it() == 0
    assert run_it("--stop_when_worse") == 0
    said = capsys.readouterr().out
    assert "stopped" not in said
    assert said_figures(said) == ["1.000", "0.075", "0.050"]


@pytest.mark.slow
def test_better_actor_does_not_end_it(evaluated: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GOOD, "actor-3", 31)
    assert run_it("--stop_when_worse") == 0
    assert evaluated.done() == WHOLE


@pytest.mark.slow
def test_fall_within_the_interval_does_not_end_it(
    evaluated: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(GOOD, "actor-2", 9)
    monkeypatch.setitem(GOOD, "actor-3", 9)
    assert run_it("--stop_when_worse") == 0
    assert evaluated.done() == WHOLE
    assert "stopped" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--evaluate", "ifevil"], "--evaluate: --benchmark: no benchmark 'ifevil'; there are "),
        (["--data", "elsewhere"], "--evaluate: custom: no such file: elsewhere"),
        (["--evaluate", "llmbar", "--data", "."], "--evaluate: llmbar: no [GMN]*.json or "),
        (["--evaluate", "refinement", "--data="], "--evaluate: run: no run there"),
        (["--evaluate_args", "--decoder bfs"], "--evaluate_args must not hold --decoder"),
        (["--evaluate_args", "--actor-url x"], "--evaluate_args must not hold --actor_url: "),
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


def test_missing_library_is_said_before_any_work_and_only_where_it_is_needed(
    children: Children, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert run_it() == 2
    assert not children.commands
    said = (
        "error: --evaluate: pipelines.evaluate needs the package scipy: pip install '.[evaluate]'"
    )
    assert capsys.readouterr().err == f"{said}\n"
    without = "import sys; sys.modules['scipy'] = None; import pipelines.iterate"
    subprocess.run([sys.executable, "-c", without], cwd=rounds.ROOT, check=True)


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
