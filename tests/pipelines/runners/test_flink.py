"""The round on a real Flink cluster, with Python workers in processes of their own."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest

from benchmarks import harness
from pipelines import refine
from pipelines.execution import job_note, runners
from spar_core.dataset import Dataset
from tests.loopback import LoopbackServer
from tests.pipelines.gates import Begin, finish
from tests.pipelines.rounds import check, command, tables
from tests.pipelines.runners.cluster import Cluster
from tests.pipelines.runners.workers import Pool, until

pytestmark = [pytest.mark.flink, pytest.mark.timeout(900)]

PROMPTS = 32
KILLS = 10
ALLOWED = 1.25
"""Tokens spent over those of an undisturbed run."""


@pytest.mark.parametrize("runner", ["portable", "flink"])
def test_a_round_on_flink_is_the_round_on_one_machine(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    begin: Begin,
    finished_run: Path,
    flink: Cluster,
    pool: Pool,
    runner: str,
) -> None:
    run = tmp_path / "run"
    together = {"portable": "off", "flink": "on"}[runner]
    where = [*getattr(flink, runner), *pool.options]
    line = command(run, prompts, server.url, *where, "--together", together)
    process = begin(*line)
    said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert {each["object-reuse-mode"] for each in flink.configurations()} == {True}
    check(run)
    assert tables(run) == tables(finished_run)


def test_a_job_on_flink_is_left_alone_and_attached_to(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    begin: Begin,
    finished_run: Path,
    flink: Cluster,
    pool: Pool,
) -> None:
    run = tmp_path / "run"
    line = command(run, prompts, server.url, *flink.portable, *pool.options, "--together", "on")
    before = len(flink.configurations())
    code, said, _ = finish(begin(*line, "--detach"))
    assert code == 0
    noted = job_note.noted(Dataset(str(run), 1))
    assert noted and noted.place.id and noted.place.id in said
    until(lambda: len(flink.configurations()) > before, "the job on Flink")
    attached = begin(*line, "--attach")
    said, _ = attached.communicate(timeout=600)
    assert attached.returncode == 0, said
    assert f"attached to {noted.name}" in said
    check(run)
    assert tables(run) == tables(finished_run)
    assert job_note.noted(Dataset(str(run), 1)) is None


def test_a_round_of_several_workers_here_is_the_same(
    tmp_path: Path, prompts: Path, server: LoopbackServer, finished_run: Path
) -> None:
    several = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert refine.main(command(tmp_path / "run", prompts, server.url, *several)) == 0
    assert tables(tmp_path / "run") == tables(finished_run)


@pytest.mark.slow
def test_kills_lose_nothing_and_pay_little_twice(
    tmp_path: Path, begin: Begin, flink: Cluster, pool: Pool
) -> None:
    """TaskManagers, Python workers and their pool are killed in turn, in mid-job.

    Flink takes the job up again, or gives it up and the same command goes on.
    """
    file = harness.write_prompts(tmp_path / "prompts.jsonl", PROMPTS)
    calm, run = tmp_path / "calm", tmp_path / "run"
    kills = [flink.kill_task_manager, pool.kill_worker, pool.kill_all]
    with harness.simulating("--slots", "32", "--speed", "1.5") as simulator:
        more = ["--slots", "32", "--together", "on"]
        assert refine.main(command(calm, file, simulator.url, *more)) == 0
        total = simulator.stats()["completion_tokens"]
        simulator.reset()
        line = command(run, file, simulator.url, *more, *flink.portable, *pool.options)
        done: Counter[str] = Counter()
        process = begin(*line)
        for number, kill in zip(range(KILLS), cycle(kills), strict=False):
            moment = total * (number + 0.5) / KILLS
            while True:
                until(
                    lambda at=moment, job=process: (
                        job.poll() is not None  # type: ignore[misc]
                        or simulator.stats()["completion_tokens"] >= at
                    ),
                    f"{moment:.0f} tokens",
                    300.0,
                )
                if process.poll() is None:
                    break
                assert process.returncode == 4, process.communicate()
                done["same command"] += 1
                process = begin(*line)
            until(lambda: bool(pool.workers()), "a worker")
            kill()
            done[kill.__name__] += 1
        while process.wait(timeout=300):
            assert process.returncode == 4, process.communicate()
            done["same command"] += 1
            process = begin(*line)
        spent = simulator.stats()["completion_tokens"] / total
    print(f"{dict(done)}: {spent:.3f} of the tokens of an undisturbed run")
    check(run)
    assert tables(run) == tables(calm)
    assert spent <= ALLOWED


def test_what_flink_knows_is_known_here(flink: Cluster) -> None:
    """Options that Beam's Python does not know are asked of the job server."""
    told = runners.described(flink.endpoint)
    assert {name: told.get(name) for name in runners.OF_FLINK} == runners.OF_FLINK
