"""A run on an object store: a GCS server on loopback, from the prompts to what trainings read."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import duckdb
import fsspec
import pyarrow.parquet as pq
import pytest

from inspection import catalog, sql
from inspection.export.__main__ import main as export
from inspection.report.__main__ import main as report
from pipelines import judge, merge, refine
from schemas.views import for_duckdb
from spar_core.dataset import Dataset
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import IDS, query, tables
from training.data import select


@dataclass(frozen=True)
class Pairs:
    """A run on the store, and the same one on a disk."""

    stored: str
    local: str


@pytest.fixture(scope="module")
def stored(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on the store."""
    run = f"{bucket}/{uuid.uuid4().hex}"
    prompts = rounds.write_prompts(tmp_path_factory.mktemp("prompts") / "prompts.jsonl")
    with serving(rounds.story) as server:
        assert refine.main(line(run, prompts, server)) == 0
    return run


@pytest.fixture(
    scope="module", params=["committed", pytest.param("merged", marks=pytest.mark.slow)]
)
def runs(request: pytest.FixtureRequest, stored: str, finished_run: Path) -> Pairs:
    """For reading only; as its commits are, and then merged."""
    if request.param == "merged":
        assert merge.main(["--run", stored]) == 0
    return Pairs(stored, str(finished_run))


def line(run: str, prompts: Path, server: LoopbackServer, *more: str) -> list[str]:
    return ["--run", run, "--prompts", str(prompts), "--engine_url", server.url, *more]


def test_a_round_gives_what_it_gives_on_a_disk(runs: Pairs) -> None:
    rounds.check(runs.stored)
    assert tables(runs.stored) == tables(runs.local)


def test_the_same_command_does_nothing_twice(
    runs: Pairs, prompts: Path, server: LoopbackServer
) -> None:
    before = tables(runs.stored)
    assert refine.main(line(runs.stored, prompts, server)) == 0
    assert not server.bodies
    assert tables(runs.stored) == before


def test_queries_are_answered(runs: Pairs, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["--sql", "select count(*) from pairs", "--format", "csv"]
    assert sql.main(["--run", runs.stored, *ask]) == 0
    [(pairs,)] = query(runs.local, "select count(*) from pairs")
    assert str(pairs) in capsys.readouterr().out.split()
    assert sql.main(["--run", runs.stored]) == 0
    assert "Tokens, by stage" in capsys.readouterr().out


def test_a_catalog_names_files_that_are_there(runs: Pairs, tmp_path: Path) -> None:
    made = catalog.write(runs.stored, str(tmp_path / "c.duckdb"))
    assert made.files > 5
    with duckdb.connect(made.path, read_only=True) as connection:
        connection.register_filesystem(for_duckdb(fsspec.filesystem("gs")))
        for table, key in IDS.items():
            counted = connection.sql(f"select count(distinct {key}) from {table}").fetchall()
            assert counted == query(runs.local, f"select count(distinct {key}) from {table}")


def test_a_report_is_written(
    runs: Pairs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert report(["--run", runs.stored, "--output", str(page)]) == 0
    [(pairs,)] = query(runs.local, "select count(*) from pairs")
    assert f"All {pairs} pairs" in " ".join(capsys.readouterr().out.split())


def test_pairs_are_exported(runs: Pairs, tmp_path: Path) -> None:
    for name, run in (("stored", runs.stored), ("local", runs.local)):
        line = ["--run", run, "--format", "trl", "--output", str(tmp_path / name)]
        assert export(line) == 0
    found = [
        sorted(map(str, pq.read_table(tmp_path / name / "data" / "pairs").to_pylist()))
        for name in ("stored", "local")
    ]
    assert found[0] == found[1] and found[0]


def test_a_training_reads_the_same_rows(runs: Pairs) -> None:
    wanted = (("prompt", "chosen", "rejected"),)
    stored, local = (select(run, "pairs", wanted) for run in (runs.stored, runs.local))
    assert stored.fingerprint == local.fingerprint and stored.rows


@pytest.mark.slow
def test_a_killed_worker_loses_what_it_had_not_committed(
    bucket: str, prompts: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no journal on a store: what is asked again is what no commit holds."""
    run, commit, commits = f"{bucket}/{uuid.uuid4().hex}", Dataset.commit, []

    def killed(self: Dataset, stage: str, *args: object, **more: object) -> int:
        if stage == "judge" and len(commits) == 3:
            raise OSError("killed")
        commits.extend([stage] if stage == "judge" else [])
        return commit(self, stage, *args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "commit", killed)
        assert refine.main(line(run, prompts, server)) == 4
    [(sampled,)] = query(run, "select count(*) from responses")
    [(judged,)] = query(run, "select count(*) from judgements")
    assert 0 < judged < sampled
    before = len(server.bodies)
    assert judge.main(["--run", run, "--engine_url", server.url]) == 0
    assert len(server.bodies) - before == sampled - judged
    assert refine.main(line(run, prompts, server)) == 0
    rounds.check(run)
