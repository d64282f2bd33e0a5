"""How far a run is, and who works on it."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

import pytest

from pipelines import refine, sample, status
from pipelines.execution import lease
from pipelines.execution.advance import Advance, advances
from spar_core.dataset import Dataset
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import PROMPTS, command, query, role, story


def by_stage(run: Path | str) -> dict[str, Advance]:
    return {each.stage: each for each in advances(str(run))}


def test_a_finished_run_has_nothing_pending(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rounds.files(finished_run)
    found = by_stage(finished_run)
    assert [*found][-5:] == [*rounds.STAGES]
    for name in rounds.STAGES:
        assert (found[name].pending, found[name].failed) == (0, 0), name
    assert found["sample"].done == len(PROMPTS)
    [(spent,)] = query(
        finished_run, "select sum(prompt_tokens + completion_tokens) from token_cost"
    )
    assert sum(each.tokens for each in found.values()) == spent > 0
    assert status.main(["--run", str(finished_run)]) == 0
    said = capsys.readouterr().out
    assert f"{finished_run}: nobody works on it" in said
    assert re.search(r"tree_search +│ +\d+ │ +0 │ +0 │ +[\d,]+ │ 20\d\d-\d\d-\d\d", said)
    assert rounds.files(finished_run) == before


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_what_is_pending_and_what_failed_is_counted(tmp_path: Path, few: Path, where: str) -> None:
    run = str(tmp_path / "run") if where == "disk" else f"memory://{uuid.uuid4().hex}/run"

    def some(body: Body) -> Answer:
        is_hopeless = "hopeless" in body["messages"][0]["content"]
        return 400 if is_hopeless and role(body) == "actor" else story(body)

    with serving(some) as server:
        line = ["--run", run, "--prompts", str(few), "--engine_url", server.url]
        assert sample.main([*line, "--responses", "2", "--seed", "1"]) == 3
        sampled = by_stage(run)["sample"]
        assert (sampled.done, sampled.pending, sampled.failed) == (3, 1, 1)
        assert "judge" not in by_stage(run)
        assert refine.main([*line, *rounds.SMALL]) == 3
        judged = by_stage(run)["judge"]
    assert (judged.done, judged.pending) == (2 * 3, 0)


def test_variants_are_told_apart(
    tmp_path: Path,
    small_run: Path,
    few: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    dfs = ["--variant", "dfs", "--strategy", "dfs"]
    assert refine.main(rounds.small(run, few, server.url, *dfs)) == 0
    found = [each for each in advances(str(run)) if each.variant == "dfs"]
    assert [each.stage for each in found] == ["tree_search", "pairs", "rft"]
    assert all(each.pending == 0 and each.done for each in found)
    capsys.readouterr()
    assert status.main(["--run", str(run)]) == 0
    assert re.search(r"tree_search │ dfs +│", capsys.readouterr().out)


def test_where_a_job_was_for_another_split_pending_is_not_told(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    assert sample.main(command(run, prompts, server.url, "--split", "test")) == 0
    assert by_stage(run)["sample"].pending is None


def test_who_works_on_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run in (str(tmp_path / "run"), f"memory://{uuid.uuid4().hex}/run"):
        with lease.held(Dataset(run, 1)):
            assert status.main(["--run", run]) == 0
        assert re.search(r"run: process \d+ on .* works on it", capsys.readouterr().out)


def test_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--run", str(tmp_path / "none")]) == 2
    assert "no run at" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert status.main(["--runs", "x"]) == 2
