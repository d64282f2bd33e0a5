"""Jobs with `--serve`: real processes of a user's server, started, asked, failing and killed."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import iterate, iterate_options, refine
from pipelines.iterate_options import bundled
from tests.pipelines import rounds, standins
from tests.pipelines.children import settle, wait_until_free
from tests.pipelines.own_server import noted, template
from tests.pipelines.rounds import query

SMALL = ["--responses", "2", "--votes", "3"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: with stand-ins, a model `base` and a file of prompts."""
    for name in ("OPENAI_API_KEY", "OWN_API_KEY"):
        monkeypatch.setenv(name, f"hush-{name}")
    path = os.pathsep.join([str(tmp_path / "place"), str(rounds.ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    return settle(tmp_path / "place", monkeypatch)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def until(holds: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + 120
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(holds())


def run_refine(*more: str, model: str = "base") -> int:
    given = ["--run", "run", "--prompts", "prompts.jsonl", "--model", model, *SMALL]
    return refine.main([*given, *more])


def test_a_round_is_served_by_the_command_and_ends_with_no_process_left(place: Path) -> None:
    notes = place / "notes"
    assert run_refine("--serve", template(notes, "--has_no_health"), "--slots", "9") == 0
    [server] = noted(notes)
    assert server["model"] == str(place / "base") and server["slots"] == 9
    assert server["keys"] == [], "no key for other servers is in its environment"
    assert not lives(server["pid"])
    assert query("run", "select distinct model from responses") == [("base",)]
    assert query("run", "select count(*) > 0 from pairs") == [(True,)]
    assert (place / "run" / "engine.log").exists()


def test_the_run_goes_on_with_another_command_for_the_same_model(place: Path) -> None:
    assert run_refine("--serve", template(place / "one"), "--limit", "2") == 0
    more = ["--serve", template(place / "other", "--has_no_health"), "--limit", "4"]
    assert run_refine(*more) == 0
    assert query("run", "select count(distinct prompt_id) from responses") == [(4,)]
    standins.checkpoint(place / "base", "other weights")
    assert run_refine(*more, "--limit", "0") == 5, "another model is another setting"


def test_a_key_is_for_the_server_that_it_is_named_for(place: Path) -> None:
    asked = ["--serve", template(place / "notes"), "--engine_key", "OWN_API_KEY"]
    assert run_refine(*asked, "--limit", "1") == 0
    assert [server["keys"] for server in noted(place / "notes")] == [["OWN_API_KEY"]]
    kept = [path for path in (place / "run").rglob("*") if path.is_file()]
    assert not any(b"hush-" in path.read_bytes() for path in kept)


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("ValueError: no such architecture", "(exit code 3): Error: see above"),
        ("cudaMalloc failed: out of memory", "out of memory: cudaMalloc failed"),
    ],
)
def test_server_that_does_not_start_stops_the_job_with_its_cause(
    place: Path, capfd: pytest.CaptureFixture[str], fails: str, said: str
) -> None:
    command = template(place / "notes", "--fails", fails)
    assert run_refine("--serve", command) == 4
    error = capfd.readouterr().err
    program = Path(sys.executable).name
    assert f"stopped: the server of --serve ({program}) with base did not start" in error
    assert said in error and "engine.log" in error and "Traceback" not in error
    assert len(noted(place / "notes")) == 1, "it is tried once"


MISTAKES = {
    "x {model}": "--serve: {port} is missing",
    "x {model} {port} {gpus}": "--serve: no placeholder {gpus}",
    "x '{model} {port}": "--serve: No closing quotation",
    "no-such-program {model} {port}": "--serve: no program on the PATH named no-such-program",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_in_the_command_is_said_in_one_line_before_any_work(
    place: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert iterate.main([*ITERATE, "--serve", command]) == 2
    assert capsys.readouterr().err.startswith(f"error: {MISTAKES[command]}")
    is_looked_for_where_it_runs = command.startswith("no-such")
    assert run_refine("--serve", command) == (4 if is_looked_for_where_it_runs else 2)
    error = capsys.readouterr().err
    assert MISTAKES[command] in error and "Traceback" not in error
    assert not (place / "run" / "responses").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--engine_args=--x"], "--serve and --engine_args exclude each other"),
        (["--engine_url", "http://x"], "--serve and --engine_url exclude each other"),
        (["--actor_adapter", "a.gguf"], "--actor_adapter is for --engine llamacpp or vllm"),
    ],
)
def test_what_a_command_excludes_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    assert run_refine("--serve", f"{sys.executable} {{model}} {{port}}", *given) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_model_is_needed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_refine("--serve", template(place / "notes"), model="") == 4
    assert "--serve needs --model" in capsys.readouterr().err


ITERATE = ["--run", "run", "--model", "base", "--prompts", "prompts.jsonl", *SMALL]


def test_evaluations_and_what_comes_before_iteration_1_are_served_by_it_too(place: Path) -> None:
    command = template(place / "notes")
    seeds = rounds.write_prompts(place / "seeds.jsonl", ["A seed."])
    more = ["--bootstrap", "--seeds", str(seeds), "--evaluate", "custom", "--hold_out", "1"]
    given = [*ITERATE, "--serve", command, "--engine_key", "OWN_API_KEY", *more]
    loop = iterate_options.understand("", [*given, "--judge_url", "http://judge"])
    assert loop.bootstrap and loop.evaluating
    engine = loop.bootstrap.teach.job.engines["actor"]
    assert (engine.serve, engine.key, engine.kind) == (command, "OWN_API_KEY", "openai")
    [asked] = loop.evaluating.jobs
    assert f"--serve={command}" in asked.running
    assert "--engine_key=OWN_API_KEY" in asked.running
    judge = loop.job.engines["judge"]
    assert (judge.serve, judge.url) == ("", "http://judge")


def start(place: Path, *more: str) -> Any:
    return standins.start(place, *ITERATE, "--iterations", "2", *more)


@pytest.mark.slow
def test_each_iteration_is_served_what_the_one_before_made(place: Path) -> None:
    notes = place / "notes"
    process = start(place, "--serve", template(notes))
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, out + err
    models = [Path(server["model"]).name for server in noted(notes)]
    assert list(dict.fromkeys(models)) == ["base", "actor-2", "refiner-2"]
    assert all(Path(server["model"]).is_absolute() for server in noted(notes))
    assert not any(lives(server["pid"]) for server in noted(notes))
    names = query("run", "select distinct iteration, model from responses order by all")
    assert names == [(1, "base"), (2, "actor-2")]
    judges = query("run", "select distinct iteration, model from judgements order by all")
    assert judges == [(1, "base"), (2, "refiner-2")]
    assert [words[0] for words in standins.trainings(place)] == ["dpo", "rft"] * 2
    last = out.splitlines()[-1]
    assert "--serve" in shlex.split(last.partition(": ")[2])


@pytest.mark.slow
def test_server_of_a_job_that_is_killed_ends_and_the_command_goes_on(place: Path) -> None:
    notes = place / "notes"
    process = start(place, "--serve", template(notes))
    assert until(lambda: noted(notes))
    process.kill()
    wait_until_free(place / "run")
    assert until(lambda: not any(lives(server["pid"]) for server in noted(notes)))
    process.communicate()
    again = start(place, "--serve", template(notes))
    out, err = again.communicate(timeout=500)
    assert again.returncode == 0, out + err
    assert query("run", "select count(distinct prompt_id) from responses") == [(4,)]


@pytest.mark.engine
def test_llama_cpp_started_by_a_command_serves_a_round(place: Path, tmp_path: Path) -> None:
    """llama.cpp's server in a process of its own, as a user's command starts it."""
    server = f"{sys.executable} -m spar_core.engine.llamacpp --slots {{slots}}"
    command = f"{server} --model {{model}} --port {{port}}"
    small = ["--limit", "1", "--actor_max_tokens", "32", "--judge_max_tokens", "32"]
    small += ["--refine_max_tokens", "32", "--depth", "1", "--budget", "2", "--slots", "4"]
    models = bundled()
    given = ["--engine", "llamacpp", "--serve", command, *small, "--constrained", "on"]
    given += ["--refiner_model", models["refiner"]]
    assert run_refine(*given, model=models["actor"]) == 0
    names = query("run", "select distinct model from responses")
    assert names == [(Path(models["actor"]).name,)]
    assert "llama.cpp serves" in (place / "run" / "engine.log").read_text()
