"""Runs that were made before rows named variants, methods and splits: they open and go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import pairs, refine
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import check, query, small, tables

NEW_COLUMNS = {"variant", "split", "chosen_response_id", "reasoning", "chosen_reasoning"}


def make_early(run: Path) -> None:
    """Give a run's files the form that they had: names, columns and entries."""
    for noted in run.glob("_manifest/*/*.buckets"):
        noted.unlink()
    for path in run.glob("_manifest/*/*/*.json"):
        entry = json.loads(path.read_text())
        del entry["variant"]
        if entry["stage"] != "prompts":
            entry["work"] = hashlib.sha256(entry["work"].encode()).hexdigest()[:12]
        for name, file in entry["files"].items():
            early = run / name / path.parts[-3] / f"{entry['stage']}-{entry['work']}-0.parquet"
            _rewrite(run / file["path"], early, name)
            file["path"], file["form"] = str(early.relative_to(run)), "0ld"
        path.unlink()
        (path.parent / f"{entry['work']}.{entry['part']}.json").write_text(json.dumps(entry))


def _rewrite(path: Path, early: Path, table: str) -> None:
    rows = pq.ParquetFile(path).read()
    gone = NEW_COLUMNS | ({"method"} if table == "rft" else set())
    rows = rows.drop_columns([name for name in rows.column_names if name in gone])
    if table == "pairs":
        number = rows.column_names.index("method")
        rows = rows.set_column(number, "method", pa.array(["refined"] * len(rows)))
    path.unlink()
    pq.write_table(rows, early)


@pytest.fixture(scope="module")
def begun_early(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An early run of the first half of the prompts; for reading only."""
    folder = tmp_path_factory.mktemp("early")
    prompts = rounds.write_prompts(folder / "few.jsonl", rounds.SMALL_PROMPTS)
    with serving(rounds.story) as server:
        line = small(folder / "run", prompts, server.url, "--limit", "2")
        assert refine.main(line) == 0
    make_early(folder / "run")
    assert not list(folder.glob("run/_manifest/*/*/b0*")), "no bucket has its new name"
    return folder / "run"


@pytest.fixture
def early(begun_early: Path, tmp_path: Path) -> Path:
    """A copy of `begun_early` that the test may change."""
    return shutil.copytree(begun_early, tmp_path / "early")


def test_its_rows_read_like_new_ones(early: Path) -> None:
    assert query(early, "select distinct variant, method from pairs") == [("main", "spar")]
    assert query(early, "select distinct variant, method from rft") == [("main", "spar")]
    assert query(early, "select distinct split from prompts") == [("train",)]
    for table in ("responses", "judgements", "trees", "nodes"):
        assert query(early, f"select distinct variant from {table}") == [("main",)]
    assert query(early, "select variant, method, pairs from variants where pairs > 0") == [
        ("main", "spar", query(early, "select count(*) from pairs")[0][0])
    ]


def test_what_it_has_is_not_asked_again(early: Path, few: Path, server: LoopbackServer) -> None:
    held = tables(early)
    assert refine.main(small(early, few, server.url, "--limit", "2")) == 0
    assert not server.bodies
    assert tables(early) == held


def test_it_goes_on_to_what_a_new_run_holds(
    early: Path, few: Path, server: LoopbackServer, small_run: Path
) -> None:
    assert refine.main(small(early, few, server.url)) == 0
    check(early, responses=2, depth=2, budget=3)
    assert tables(early) == tables(small_run)


def test_its_settings_bind(
    early: Path, few: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refine.main(small(early, few, server.url, "--votes", "5")) == 5
    assert "judge.votes: 3 -> 5" in capsys.readouterr().err
    assert not server.bodies


def test_variants_and_methods_use_its_rows(early: Path, few: Path, server: LoopbackServer) -> None:
    line = small(early, few, server.url, "--limit", "2")
    assert refine.main([*line, "--variant", "dfs", "--strategy", "dfs"]) == 0
    assert not [body for body in server.bodies if rounds.role(body) == "actor"]
    assert query(early, "select distinct variant from judgements") == [("main",)]
    assert query(early, "select distinct variant from trees order by 1") == [("dfs",), ("main",)]
    judging = [*rounds.SMALL[:4], *rounds.SMALL[-2:], "--limit", "2", "--method", "independent"]
    assert refine.main(rounds.command(early, few, server.url, *judging)) == 0
    assert pairs.main(["--run", str(early), "--seed", "1"]) == 0
