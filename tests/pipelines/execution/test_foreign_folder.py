"""Folders that hold other things are made runs where it is asked for, and not otherwise."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from inspection import sql
from inspection.report import __main__ as report
from pipelines import merge, refine, status
from pipelines.execution.foreign_folder import check
from spar_core.dataset import Dataset
from terminal.exits import UsageError
from tests.loopback import LoopbackServer
from tests.pipelines import rounds


def test_a_new_or_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    check(Dataset(str(tmp_path), 1))
    check(Dataset(str(tmp_path / "new"), 1))


def test_what_a_killed_job_left_is_a_run(tmp_path: Path) -> None:
    for name in ("_lease", "models", "responses"):
        (tmp_path / name).mkdir()
    for name in (".lock", "engine.log"):
        (tmp_path / name).touch()
    check(Dataset(str(tmp_path), 1))


def test_a_folder_on_an_object_store_is_looked_at_too() -> None:
    name = uuid.uuid4().hex
    fsspec.filesystem("memory").pipe_file(f"/{name}/thesis.txt", b"years")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        check(Dataset(f"memory://{name}", 1))


def test_other_things_stay_alone_unless_it_is_forced(
    tmp_path: Path, prompts: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in "abcde":
        (home / f"{name}.txt").write_text("mine")
    argv = [*rounds.command(home, prompts, server.url), "--limit", "1"]
    before = sorted(home.iterdir())
    assert refine.main(argv) == 2
    error = capsys.readouterr().err
    assert "holds other things (a.txt, b.txt, c.txt and 2 more)" in " ".join(error.split())
    assert "--force" in error
    assert sorted(home.iterdir()) == before
    assert not server.bodies
    assert refine.main([*argv, "--force"]) == 0
    assert refine.main(argv) == 0, "now it is a run"


def test_a_missing_package_of_a_file_system_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    run = ["--run", "s3://bucket/run"]
    page = ["--output", str(tmp_path / "r.html")]
    jobs: list[tuple[Callable[[list[str]], int], list[str]]] = [
        (refine.main, [*run, "--engine_url", "http://localhost:1"]),
        (merge.main, run),
        (status.main, run),
        (sql.main, run),
        (report.main, [*run, *page]),
    ]
    for main, argv in jobs:
        assert main(argv) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert "cannot open the run s3://bucket/run: Install s3fs to access S3" in error
