"""The job that merges a run's commits, and what merged runs are to all that reads and goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines import merge, refine
from pipelines.execution import job, lease
from spar_core.dataset import Dataset
from tests.loopback import LoopbackServer
from tests.pipelines import rounds
from tests.pipelines.rounds import command, query, tables


def commits(run: Path, stage: str) -> int:
    """Commits that are not merged."""
    held, latest = Dataset(str(run), 1).held(stage)
    return len(held.counting(latest))


def test_a_merged_run_holds_the_same_and_is_done(
    copied_run: Path, prompts: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied_run
    before, judged, rft = tables(run), commits(run, "judge"), commits(run, "rft")
    assert merge.main(["--run", str(run)]) == 0
    said = capsys.readouterr().out
    assert f"iteration 1, judge: {judged} commits merged; 1 files now" in said
    assert tables(run) == before
    assert [commits(run, stage) for stage in ("sample", "judge", "tree_search", "pairs")] == [0] * 4
    assert commits(run, "rft") == rft, "a selection is taken back commit by commit"
    assert refine.main(command(run, prompts, server.url)) == 0
    assert not server.bodies and tables(run) == before


def test_a_run_goes_on_after_a_merge(tmp_path: Path, prompts: Path, server: LoopbackServer) -> None:
    run = tmp_path / "run"
    assert refine.main(command(run, prompts, server.url, "--limit", "6")) == 0
    assert merge.main(["--run", str(run), "--iteration", "1"]) == 0
    assert refine.main(command(run, prompts, server.url)) == 0
    rounds.check(run)
    assert query(run, "select count(*) from prompts") == [(12,)]
    assert merge.main(["--run", str(run)]) == 0
    rounds.check(run)


def test_a_job_merges_by_itself_what_is_worth_it(
    tmp_path: Path, prompts: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "WORTH_IT", 3)
    run = tmp_path / "run"
    assert refine.main(command(run, prompts, server.url)) == 0
    assert [commits(run, stage) for stage in ("sample", "judge")] == [0, 0]
    rounds.check(run)


def test_what_is_superfluous_goes_when_it_is_old(copied_run: Path) -> None:
    run = copied_run
    assert merge.main(["--run", str(run)]) == 0
    kept = len(list(run.rglob("*.parquet")))
    for path in run.rglob("*.*"):
        os.utime(path, (0, 0))
    assert merge.main(["--run", str(run)]) == 0
    assert len(list(run.rglob("*.parquet"))) < kept
    rounds.check(run)


def test_a_run_that_is_at_work_is_not_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = Dataset(str(tmp_path), 1)
    dataset.commit("s", "w", [], {"requests": 1.0})
    with lease.held(dataset):
        assert merge.main(["--run", str(tmp_path)]) == 2
    assert "another process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [([], "nothing is committed"), (["--iteration", "x"], "--iteration"), (["--all"], "--all")],
)
def test_bad_usage_is_refused(
    tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge.main(["--run", str(tmp_path / "none"), *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
