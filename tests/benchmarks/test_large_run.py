"""The run that reading is measured on holds together as a real one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import large_run
from tests.pipelines import rounds

SEED = 2
"""One without failures."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("large") / "run"
    large_run.write(str(run), 100, seed=SEED, shard_prompts=16)
    return run


def test_it_is_a_run_as_the_jobs_make_it(run: Path) -> None:
    assert rounds.query(run, "select count(distinct iteration) from pairs") == [(3,)]
    assert not rounds.failures(run)
    rounds.check(run)


def test_it_has_the_pairs_asked_for_and_what_runs_have(run: Path) -> None:
    [(pairs, similarity, deepest)] = rounds.query(
        run, "select count(*), avg(similarity), max(depth) from pairs"
    )
    assert 90 <= pairs <= 120
    assert 0.85 < similarity < 0.95
    assert deepest == 3
    assert {row[0] for row in rounds.query(run, "from verdicts select verdict")} >= {"yes", "no"}
    assert rounds.query(run, "from rft limit 1")
    assert rounds.commits(run, "judge") == 18


def test_the_same_seed_makes_the_same_rows(run: Path, tmp_path: Path) -> None:
    large_run.write(str(tmp_path / "same"), 100, seed=SEED, shard_prompts=16)
    large_run.write(str(tmp_path / "other"), 100, seed=1, shard_prompts=16)
    assert rounds.tables(tmp_path / "same") == rounds.tables(run)
    assert rounds.tables(tmp_path / "other") != rounds.tables(run)


def test_no_run_is_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        large_run.main(["--run", str(run)])
    assert left.value.code == 2
    assert "is there already" in capsys.readouterr().err
