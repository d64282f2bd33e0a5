"""The round on Prism. It says that a job succeeded where one did not, so tables are what counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import harness
from pipelines import refine
from tests.loopback import LoopbackServer
from tests.pipelines.gates import Begin
from tests.pipelines.rounds import check, command, tables
from tests.pipelines.runners import prism
from tests.pipelines.runners.workers import Pool, until

pytestmark = [pytest.mark.prism, pytest.mark.timeout(900)]

PROMPTS = 24
KILLS = 3
ALLOWED = 1.25
"""Tokens spent over those of an undisturbed run."""


@pytest.fixture(scope="session")
def on_prism() -> list[str]:
    """Options of a job on Prism."""
    return ["--runner=PrismRunner", f"--prism_location={prism.binary()}"]


@pytest.mark.parametrize("together", ["on", "off"])
def test_a_round_on_prism_is_the_round_on_one_machine(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    begin: Begin,
    finished_run: Path,
    on_prism: list[str],
    together: str,
) -> None:
    run = tmp_path / "run"
    process = begin(*command(run, prompts, server.url, *on_prism, "--together", together))
    said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    check(run)
    assert tables(run) == tables(finished_run)


def test_a_killed_worker_ends_the_job_and_the_same_command_goes_on(
    tmp_path: Path, begin: Begin, on_prism: list[str], pool: Pool
) -> None:
    """Prism gives a job up with its first bundle that fails."""
    file = harness.write_prompts(tmp_path / "prompts.jsonl", PROMPTS)
    calm, run = tmp_path / "calm", tmp_path / "run"
    with harness.simulating("--slots", "32", "--speed", "2") as simulator:
        more = ["--slots", "32", "--together", "on"]
        assert refine.main(command(calm, file, simulator.url, *more)) == 0
        total = simulator.stats()["completion_tokens"]
        simulator.reset()
        line = command(run, file, simulator.url, *more, *on_prism, *pool.options)
        for number in range(KILLS):
            process = begin(*line)
            until(
                lambda at=total * (number + 0.5) / KILLS: (  # type: ignore[misc]
                    simulator.stats()["completion_tokens"] >= at and bool(pool.workers())
                ),
                "a moment to kill at",
                300.0,
            )
            pool.kill_worker()
            said = process.communicate(timeout=120)
            assert process.returncode == 4, said
            assert "Traceback" not in said[1]
        process = begin(*line)
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        spent = simulator.stats()["completion_tokens"] / total
    print(f"{KILLS} kills: {spent:.3f} of the tokens of an undisturbed run")
    check(run)
    assert tables(run) == tables(calm)
    assert spent <= ALLOWED
