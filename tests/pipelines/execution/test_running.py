"""Jobs on a job server that goes on without the driver: left alone, attached to, refused beside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines import refine
from pipelines.execution import job_note
from spar_core.dataset import Dataset
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, finish, kill
from tests.pipelines.rounds import check, command, query, role, story

TEXTS = [f"Prompt {n}: one line, please." for n in range(6)]


@pytest.fixture
def job_server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Beam's own, whose workers are in its process; its port is in the file `port`."""
    port = tmp_path / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    with subprocess.Popen(
        [sys.executable, "-m", module, "--port_file", str(port)],
        cwd=rounds.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        until(lambda: port.exists() and port.read_text().strip().isdigit())
        yield process
        process.kill()


@pytest.fixture
def elsewhere(tmp_path: Path, job_server: subprocess.Popen[bytes]) -> list[str]:
    """Options of a job on the job server."""
    endpoint = f"localhost:{(tmp_path / 'port').read_text().strip()}"
    where = ["--job_endpoint", endpoint, "--environment_type", "beam:env:embedded_python:v1"]
    return ["--runner", "PortableRunner", *where]


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


class Slow:
    """A server whose actor takes its time until it is told otherwise."""

    def __init__(self) -> None:
        self.wait_s = 1.0

    def __call__(self, body: Body) -> Answer:
        if role(body) == "actor":
            time.sleep(self.wait_s)
        return story(body)


@pytest.mark.parametrize("together", ["on", pytest.param("off", marks=pytest.mark.slow)])
def test_a_job_is_left_alone_and_attached_to(
    tmp_path: Path,
    elsewhere: list[str],
    capsys: pytest.CaptureFixture[str],
    together: str,
) -> None:
    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    slow = Slow()
    with serving(slow) as server:
        line = [*command(run, prompts, server.url, "--slots", "1"), *elsewhere]
        line += ["--together", together]
        assert refine.main([*line, "--detach"]) == 0
        out = capsys.readouterr().out
        noted = job_note.noted(Dataset(str(run), 1))
        assert noted and noted.place.id
        assert f"job {noted.place.id} on PortableRunner" in out
        assert "--attach" in out
        follows = "rft come" if together == "on" else "judge, tree_search, pairs, rft come"
        assert follows in out
        held = str(rounds.files(run))
        assert "OPENAI" not in held

        assert refine.main(line) == 2
        said = capsys.readouterr().err
        assert noted.place.id in said and "--attach" in said and len(said.splitlines()) == 1

        slow.wait_s = 0.0
        assert refine.main([*line, "--attach"]) == 0
        assert f"attached to {noted.name}: job {noted.place.id}" in capsys.readouterr().out
        asked = [body for body in server.bodies if role(body) == "actor"]
        assert len(asked) == len(TEXTS), "what it did is not done again"
    check(run)
    assert job_note.noted(Dataset(str(run), 1)) is None
    assert not list(run.glob("_work/*/*/*")), "its work files are cleared up"


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_a_job_that_is_known(
    tmp_path: Path, elsewhere: list[str], begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    slow = Slow()
    with serving(slow) as server:
        line = [*command(run, prompts, server.url), "--slots", "1", *elsewhere]
        driver = begin(*line)
        until(lambda: server.bodies)
        kill(driver)
        code, _, said = finish(begin(*line))
        assert code == 2
        assert "has a job that is not ended, sample, judge, tree_search, pairs: job " in said
        slow.wait_s = 0.0
        assert refine.main([*line, "--attach"]) == 0
        asked = [body for body in server.bodies if role(body) == "actor"]
        assert len(asked) == len(TEXTS)
    check(run)


def test_a_job_that_nobody_knows_any_more_holds_nothing_up(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    elsewhere: list[str],
    job_server: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    line = command(run, prompts, server.url)
    assert refine.main([*line, *elsewhere, "--detach"]) == 0
    job_server.kill()
    job_server.wait()
    monkeypatch.setattr("pipelines.execution.elsewhere.ANSWER_S", 1)
    assert refine.main([*line, "--attach"]) == 2
    said = capsys.readouterr().err
    assert "cannot attach to job " in said and len(said.splitlines()) == 1
    assert refine.main(line) == 0
    assert "nothing is committed twice" in capsys.readouterr().out
    check(run)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "runs in this process"),
        (["--runner=tests.pipelines.execution.remote.RemoteRunner"], "cannot be found again"),
        (["--attach"], "not allowed with"),
    ],
    ids=["direct", "unknown", "both"],
)
def test_what_cannot_be_left_is_refused(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    why: str,
) -> None:
    line = command(tmp_path / "run", prompts, server.url, "--detach", *options)
    assert refine.main(line) == 2
    said = capsys.readouterr().err
    assert why in said and len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_attaching_to_nothing_is_the_same_command(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    assert refine.main(command(tmp_path / "run", prompts, server.url, "--attach")) == 0
    assert query(tmp_path / "run", "select count(*) > 0 from pairs") == [(True,)]
