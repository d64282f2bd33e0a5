"""The trail: each job names the next command, which works and prints little."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import evaluate, refine, sample
from schemas.failures import Failure
from spar_core.dataset import Dataset, Settled
from tests import documented
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds, test_evaluate_custom
from training import options
from training.data import select

ENOUGH = 12
"""Lines that a command of the trail may print."""


def commands(said: str) -> list[list[str]]:
    """Return the commands that end what a job has said."""
    lines = [line for line in said.splitlines() if line.startswith(("Next: ", "Then: "))]
    return [shlex.split(line.partition(": ")[2]) for line in lines]


def next_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the first command that a job has named, as `python -m ...`."""
    [program, *words] = commands(capsys.readouterr().out)[0]
    return [Path(program).name, *words]


def test_from_a_round_to_its_report_to_a_training(
    tmp_path: Path,
    small_run: Path,
    few: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "it's a run"
    shutil.copytree(small_run, run)
    assert refine.main(rounds.small(run, few, server.url)) == 0
    line = capsys.readouterr().out.rpartition("Next: ")[2].strip()
    assert line.split()[0].endswith("python")
    line = f"{sys.executable} {line.partition(' ')[2]}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=rounds.ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "it's a run.html").is_file()
    assert len(done.stdout.splitlines()) <= ENOUGH
    what = r".*run\.html: 0\.\d MB\. All 2 pairs of the run are in this file\.\n\nNext: .*\n"
    assert re.fullmatch(what, done.stdout)
    [training] = commands(done.stdout)
    assert training[2] == "training.dpo"
    options.look(training[3:])
    given = dict(itertools.pairwise(training[3:]))
    assert given["--data"] == str(run)
    assert given["--output"] == str(run / "models" / "actor-2")
    wanted = (("prompt", "chosen", "rejected"),)
    assert select(str(run), "pairs", wanted, given.get("--where", "true")).rows


def test_from_stage_to_stage(
    tmp_path: Path, few: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--prompts", str(few), "--engine_url", server.url, "--iteration", "2"]
    assert sample.main(["--run", str(tmp_path / "run"), *given, "--responses", "2"]) == 0
    done = []
    for _ in range(4):
        words = next_of(capsys)
        done.append(words[2])
        assert documented.run(words) == 0, words
    assert done == ["pipelines.judge", "pipelines.tree_search", "pipelines.pairs",
                    "inspection.report"]  # fmt: skip
    assert rounds.query(tmp_path / "run", "select distinct iteration from pairs") == [(2,)]


def test_what_failed_is_told_by_cause(
    tmp_path: Path, few: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    failed = [
        Failure("sample", f"k{n}", "timeout", f"no answer to {n}", 1, "s") for n in range(300)
    ]
    Dataset(str(run), 1).commit("other", "w", [Settled("k", {"failures": failed})])
    assert refine.main(rounds.small(run, few, server.url)) == 3
    why = capsys.readouterr().out.rpartition("why: ")[2].strip()
    [program, *words] = shlex.split(why)
    assert documented.run([Path(program).name, *words]) == 0
    out = capsys.readouterr().out
    assert "timeout" in out and "300" in out
    assert len(out.splitlines()) <= ENOUGH


def test_from_the_old_model_to_the_new_one_to_a_judge_to_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, prompts = tmp_path / "run", tmp_path / "mine.csv"
    prompts.write_text("question\n" + "".join(f"What is {n}?\n" for n in range(6)))
    says = test_evaluate_custom.says
    with serving(says) as old, serving(says) as new, serving(says) as judge:
        old.models, new.models, judge.models = ["base"], ["better"], ["third"]
        argv = test_evaluate_custom.command(run, prompts, "--engine_url", old.url)
        assert evaluate.main(argv) == 0
        for url, least in ((new.url, 0), (judge.url, 1)):
            words = next_of(capsys)
            assert words.count("URL") == 1
            assert documented.run([url if word == "URL" else word for word in words]) == 0
            assert len(judge.bodies) >= least
        said = capsys.readouterr()
    assert "The new answers are better" in " ".join(said.out.split())
    [[program, *words]] = commands(said.out)
    assert documented.run([Path(program).name, *words]) == 0
    assert "win_rate" in capsys.readouterr().out
