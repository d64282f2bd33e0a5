"""Jobs on a runner elsewhere: cancelled, ended early, and never two writers of one item."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import refine, sample
from pipelines.execution import lease
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.execution import remote
from tests.pipelines.rounds import check, command, query, role, story

REMOTE = "--runner=tests.pipelines.execution.remote.RemoteRunner"
TEXTS = [f"Prompt {n}: one line, please." for n in range(40)]


def until(holds: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def slow_judge(body: Body) -> Answer:
    if role(body) == "judge":
        time.sleep(0.02)
    return story(body)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


@pytest.mark.slow
def test_ctrl_c_cancels_the_job_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(remote.PIDS, str(tmp_path / "pids"))
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    run = tmp_path / "run"
    with serving(slow_judge) as server:
        line = command(run, prompts, server.url, REMOTE, "--slots", "2")
        process = rounds.start(*line)
        until(lambda: sum(role(body) == "judge" for body in list(server.bodies)) > 20)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 4, said
        assert "interrupted" in said
        assert "Traceback" not in said
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert not any(map(lives, pids)), "the job runs on"
        asked = len(server.bodies)
        time.sleep(0.5)
        assert len(server.bodies) == asked
        assert refine.main(command(run, prompts, server.url)) == 0
    check(run)


def test_a_job_that_ends_early_leaves_something_pending_and_says_so(
    tmp_path: Path,
    few: Path,
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = command(tmp_path / "run", few, server.url, "--responses", "2")
    with monkeypatch.context() as early:
        early.setenv(remote.ENDS_EARLY, "1")
        assert sample.main([*line, REMOTE]) == 4
    said = capsys.readouterr()
    assert "4 are still pending" in said.out
    assert "4 items are still pending" in said.err
    assert refine.main(line) == 0
    check(tmp_path / "run", responses=2)


def test_not_waiting_is_refused(
    tmp_path: Path, prompts: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    line = command(tmp_path / "run", prompts, server.url, "--no_wait_until_finish")
    assert refine.main(line) == 2
    assert "--no_wait_until_finish" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("limits", [("0", "7"), ("7", "0"), ("0", "0")], ids="-".join)
def test_two_drivers_with_plans_of_their_own_commit_no_item_twice(
    tmp_path: Path, limits: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a driver has lost its lease and does not know yet."""
    monkeypatch.setattr(lease, "held", lambda *_: contextlib.nullcontext(lease.Hold()))
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    run = f"memory://{tmp_path.name}-{'-'.join(limits)}"
    with serving(slow_judge) as server:
        line = ["--run", run, "--prompts", str(prompts), "--engine_url", server.url]
        line += ["--slots", "8"]
        assert sample.main(line) == 0
        codes: list[int] = []
        drivers = [
            threading.Thread(target=lambda n=n: codes.append(refine.main([*line, "--limit", n])))
            for n in limits
        ]
        for driver in drivers:
            driver.start()
            time.sleep(0.7)
        for driver in drivers:
            driver.join()
        assert {*codes} <= {0, 4}, "done, or something came in meanwhile and is pending"
        for table, column in rounds.IDS.items():
            twice = f"select {column} from {table} group by 1 having count(*) > 1"
            assert not query(run, twice), table
        assert refine.main(line) == 0
    check(run)


@pytest.mark.slow
def test_a_kill_of_driver_and_job_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is killed, its job lives on and commits while the same command runs again."""
    monkeypatch.setenv(remote.PIDS, str(tmp_path / "pids"))
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    run = tmp_path / "run"
    with serving(slow_judge) as server:
        line = command(run, prompts, server.url, "--slots", "2")
        process = rounds.start(*line, REMOTE)
        until(lambda: sum(role(body) == "judge" for body in list(server.bodies)) > 5)
        process.kill()
        process.communicate()
        zombie = int((tmp_path / "pids").read_text().split()[-1])
        assert lives(zombie)
        again = subprocess.Popen(
            [*process.args],  # type: ignore[misc]
            cwd=rounds.ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        _, said = again.communicate(timeout=120)
        until(lambda: not lives(zombie))
        if again.returncode:
            assert again.returncode == 4, said
        assert refine.main(command(run, prompts, server.url)) == 0
    check(run)
