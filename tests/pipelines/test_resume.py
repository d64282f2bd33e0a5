"""Runs that are killed, lose their engine or their disk, and go on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from pipelines import refine
from pipelines.execution import lease
from schemas import manifest
from spar_core.conversation import judge_messages
from spar_core.dataset import Dataset
from tests.loopback import Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import check, command, commits, query, role, story, tables

MANY = [f"Prompt {n}, and an easy one." if n % 9 == 0 else f"Prompt {n}." for n in range(66)]
"""More prompts than a round takes at once (64), so that every stage commits several times."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `MANY` that nothing disturbed; for reading only."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prompts = rounds.write_prompts(folder / "prompts.jsonl", MANY)
    with serving(story) as server:
        assert refine.main(command(folder / "run", prompts, server.url)) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def undisturbed(finished: Path) -> dict[str, list[str]]:
    """The tables of `finished`."""
    return tables(finished)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return rounds.write_prompts(tmp_path / "prompts.jsonl", MANY)


def first(body: Body) -> str:
    """The first turn of a conversation."""
    content: str = body["messages"][0]["content"]
    return content


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_in_every_stage_it_ends_with_everything_done_once(
    tmp_path: Path,
    many: Path,
    undisturbed: dict[str, list[str]],
    begin: Begin,
    seed: int,
) -> None:
    run, dice = tmp_path / "run", random.Random(seed)
    gate = Gate(run)
    with serving(gate) as server:
        argv = command(run, many, server.url, "--slots", "2", "--together", "off")
        for stage, most in (("sample", 1), ("judge", 6), ("tree_search", 1)):
            gate.set(stage, dice.randint(1, most))
            process = begin(*argv)
            assert gate.shut.wait(300), process.communicate()
            time.sleep(dice.random() / 5)
            kill(process)
            held = rounds.committed(run)
            assert commits(run, stage) >= 1
            assert list(run.glob(f"_work/*/{stage}/*")), "the stage was over"
        gate.open()
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    check(run)
    assert tables(run) == undisturbed
    assert not list(run.rglob("*.tmp"))


@pytest.mark.slow
def test_what_is_committed_is_not_asked_again(tmp_path: Path, many: Path, begin: Begin) -> None:
    run = tmp_path / "run"
    gate = Gate(run)
    with serving(gate) as server:
        argv = command(run, many, server.url, "--slots", "2", "--together", "off")
        gate.set("sample", 1)
        process = begin(*argv)
        assert gate.shut.wait(300), process.communicate()
        kill(process)
        answered = {
            p
            for (p,) in query(
                run, "select prompt from prompts semi join responses using (prompt_id)"
            )
        }
        assert 0 < len(answered) < len(MANY)

        since = len(server.bodies)
        gate.set("judge", 3)
        process = begin(*argv)
        assert gate.shut.wait(300), process.communicate()
        kill(process)
        asked = server.bodies[since:]
        assert {first(b) for b in asked if role(b) == "actor"} <= set(MANY) - answered
        judged = {
            judge_messages(prompt, response)[0]["content"]
            for prompt, response in query(
                run,
                "select prompt, response from judgements join responses using (response_id) "
                "join prompts on prompts.prompt_id = responses.prompt_id",
            )
        }
        assert 0 < len(judged) < 5 * len(MANY)

        since = len(server.bodies)
        gate.open()
        assert finish(begin(*argv))[0] == 0
        asked = server.bodies[since:]
    assert not [body for body in asked if role(body) == "actor"]
    assert not judged & {first(body) for body in asked if role(body) == "judge"}


@pytest.mark.parametrize(("seed", "kills"), [(0, 1), pytest.param(1, 4, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_with_everything_done_once(
    tmp_path: Path,
    many: Path,
    undisturbed: dict[str, list[str]],
    begin: Begin,
    seed: int,
    kills: int,
) -> None:
    run, dice = tmp_path / "run", random.Random(seed)
    gate = Gate(run)
    gate.wait_s = 0.002
    with serving(gate) as server:
        argv = command(run, many, server.url, "--slots", "2")
        for _ in range(kills):
            asked = len(server.bodies)
            process = begin(*argv)
            enough = asked + dice.randint(1, 400)
            while len(server.bodies) < enough and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            process.communicate()
        held = rounds.committed(run)
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    kept = {name: data for name, data in held.items() if "rft" not in name}
    assert {name: now.get(name) for name in kept} == kept
    assert tables(run) == undisturbed
    assert not list(run.rglob("*.tmp"))


def test_a_selection_that_is_killed_ends_as_if_nothing_had_been(
    tmp_path: Path, finished: Path, undisturbed: dict[str, list[str]], begin: Begin
) -> None:
    """Killed at its first commit; now and then it is done before it dies: then once more."""
    for number in range(5):
        run = tmp_path / f"run{number}"
        shutil.copytree(finished, run)
        shutil.rmtree(run / "rft")
        shutil.rmtree(run / manifest.FOLDER / "iteration=1" / "rft")
        process = begin("--run", str(run), job="pipelines.pairs")
        while not commits(run, "rft") and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        held = rounds.committed(run)
        if 0 < len(tables(run)["rft"]) < len(undisturbed["rft"]):
            break
    assert process.returncode == -signal.SIGKILL
    assert 0 < len(tables(run)["rft"]) < len(undisturbed["rft"])
    code, _, err = finish(begin("--run", str(run), job="pipelines.pairs"))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    assert tables(run) == undisturbed
    assert not [*run.rglob("*.tmp"), *run.glob("_work/*/*/*")]


@pytest.mark.slow
def test_an_engine_that_goes_stops_the_run_and_a_new_one_ends_it(
    tmp_path: Path,
    many: Path,
    undisturbed: dict[str, list[str]],
    begin: Begin,
) -> None:
    run = tmp_path / "run"
    gate = Gate(run)
    gate.set("judge", 2)
    server = LoopbackServer(gate)
    argv = command(run, many, server.url, "--slots", "2", "--engine_patience", "1")
    process = begin(*argv)
    try:
        assert gate.shut.wait(300), process.communicate()
    finally:
        server.close()
    code, _, err = finish(process)
    assert code == 4
    assert "gone" in err
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
    held = rounds.committed(run)
    assert 0 < query(run, "select count(*) from judgements")[0][0] < 5 * len(MANY)

    code, _, err = finish(begin(*argv))
    assert code == 4, "there is still no engine"
    assert "no engine answers" in err
    assert "Traceback" not in err

    gate.open()
    with serving(gate, server.port):
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    assert tables(run) == undisturbed


@pytest.mark.slow
def test_an_engine_that_comes_back_in_time_is_waited_for(
    tmp_path: Path, many: Path, undisturbed: dict[str, list[str]], begin: Begin
) -> None:
    run = tmp_path / "run"
    gate = Gate(run)
    gate.set("judge", 2)
    server = LoopbackServer(gate)
    process = begin(*command(run, many, server.url, "--slots", "2", "--engine_patience", "60"))
    try:
        assert gate.shut.wait(300), process.communicate()
    finally:
        server.close()
    gate.open()
    time.sleep(1)
    with serving(gate, server.port):
        code, _, err = finish(process)
    assert (code, err) == (0, "")
    assert tables(run) == undisturbed


def test_interrupted_it_says_how_to_go_on(
    tmp_path: Path, prompts: Path, finished_run: Path, begin: Begin
) -> None:
    run = tmp_path / "run"
    gate = Gate(run)
    gate.set("sample", 1)
    gate.wait_s = 0.3  # so that prompts are left when the first are committed
    with serving(gate) as server:
        argv = command(run, prompts, server.url)
        process = begin(*argv)
        assert gate.shut.wait(300), process.communicate()
        process.send_signal(signal.SIGINT)
        code, _, err = finish(process)
        assert code == 4
        assert "run the same command again" in err
        assert "Traceback" not in err
        gate.open()
        gate.wait_s = 0.0
        assert finish(begin(*argv))[0] == 0
    assert tables(run) == tables(finished_run)


def test_a_run_is_held_by_one_process(
    tmp_path: Path, prompts: Path, begin: Begin, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    with lease.held(Dataset(str(run), 1)):
        code, out, err = finish(begin(*command(run, prompts, server.url)))
    assert (code, out) == (2, "")
    who = f"process {os.getpid()} on {socket.gethostname()}"
    said = f"another process is working on the run {run}: {who}"
    assert err == f"error: {said}; wait for it, or stop it with Ctrl-C\n"
    assert not server.bodies


@pytest.mark.parametrize(
    "file_blocks",
    [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(10, marks=pytest.mark.slow)],
)
def test_a_full_disk_stops_the_run(
    tmp_path: Path,
    many: Path,
    undisturbed: dict[str, list[str]],
    begin: Begin,
    server: LoopbackServer,
    file_blocks: int,
) -> None:
    run = tmp_path / "run"
    argv = command(run, many, server.url, "--slots", "2")
    code, _, err = finish(begin(*argv, file_blocks=file_blocks))
    assert code == 4
    assert "cannot" in err and "write" in err and str(run) in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
    held = rounds.committed(run)
    assert not list(run.rglob("*.tmp"))
    assert finish(begin(*argv))[0] == 0
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    assert tables(run) == undisturbed


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_a_place_that_can_hold_no_run_is_one_line(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert refine.main(command(tmp_path / place, prompts, server.url)) in (2, 4)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(tmp_path / "file") in error
    assert error.count("\n") == 1


def test_what_a_crash_left_behind_does_not_count(
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    assert refine.main(command(run, prompts, server.url)) == 0
    held = rounds.files(run)
    # A data file without its manifest entry, half of one, and half of an entry.
    whole = next(run.glob("responses/*/*.parquet")).read_bytes()
    folder = run / "responses" / "iteration=1"
    (folder / "sample-0123-0-abc.parquet").write_bytes(whole)
    (folder / "sample-0123-1-abc.parquet.77-88.tmp").write_bytes(whole[:99])
    entries = run / manifest.FOLDER / "iteration=1" / "sample"
    whole_entries = sorted(os.listdir(entries))
    (entries / "0123.0.json.77-88.tmp").write_bytes(b'{"stage": "sam')
    assert tables(run) == tables(finished_run)
    assert refine.main(command(run, prompts, server.url)) == 0
    assert rounds.files(run) == held
    assert sorted(os.listdir(entries)) == whole_entries
