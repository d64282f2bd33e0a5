"""Prompts that are held out: drawn once, and given to no data round."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import evaluate, plan, refine
from pipelines.execution import intake
from pipelines.execution.holding_out import hold_out
from schemas.prompts import HELD_OUT
from spar_core.dataset import Dataset
from terminal.exits import InputError
from tests.loopback import LoopbackServer
from tests.pipelines.rounds import command, query, write_prompts

TEXTS = [f"Prompt {n}, please." for n in range(20)]


def held_out(run: Path) -> set[str]:
    rows = query(run, f"select prompt from prompts where split = '{HELD_OUT}'")
    return {prompt for (prompt,) in rows}


def test_they_are_spread_over_the_file_and_stay_when_it_grows(tmp_path: Path) -> None:
    run, files = Dataset(str(tmp_path / "run"), 1), str(write_prompts(tmp_path / "in", TEXTS))
    assert hold_out(run, files, 5) == 5
    first = held_out(tmp_path / "run")
    assert len(first) == 5
    assert first not in (set(TEXTS[:5]), set(TEXTS[-5:]))
    read = intake.ingest(run, files, None)
    assert (read.prompts, read.added, read.held_out, read.failures) == (15, 15, 5, 0)
    assert "5 held out for an evaluation" in read.remarks()
    write_prompts(tmp_path / "in", [*TEXTS, *(f"More {n}" for n in range(20))])
    assert hold_out(run, files, 5) == 0
    assert hold_out(run, files, 8) == 3, "what rounds may have been given is not drawn"
    assert held_out(tmp_path / "run") > first
    trained = query(tmp_path / "run", "select prompt from prompts where split = 'train'")
    assert held_out(tmp_path / "run").isdisjoint(prompt for (prompt,) in trained)
    assert query(tmp_path / "run", "select count(*) from failures") == [(0,)]


def test_other_forms_of_a_held_out_prompt_are_not_trained_on(tmp_path: Path) -> None:
    run = Dataset(str(tmp_path / "run"), 1)
    files = str(write_prompts(tmp_path / "in", [*TEXTS, *(f" {t.upper()} " for t in TEXTS)]))
    assert hold_out(run, files, 5) == 5
    read = intake.ingest(run, files, None)
    assert (read.prompts, read.held_out, read.equal) == (15, 10, 15)


def test_what_cannot_be_held_out_is_said(tmp_path: Path) -> None:
    run, files = Dataset(str(tmp_path / "run"), 1), str(write_prompts(tmp_path / "in", TEXTS))
    with pytest.raises(InputError, match=r"only 20 prompts .* one must be left"):
        hold_out(run, files, 20)
    with pytest.raises(InputError, match="only 20 prompts"):
        hold_out(run, files, 21)
    with pytest.raises(InputError, match="give a file, not standard input"):
        hold_out(run, "-", 2)
    intake.ingest(run, files, 4)
    assert hold_out(run, files, 16) == 16, "the run has prompts to train on"


def test_a_round_leaves_them_alone_and_an_evaluation_answers_them(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run, files = tmp_path / "run", write_prompts(tmp_path / "in.jsonl", TEXTS[:6])
    brief = ["--responses", "2", "--votes", "3", "--depth", "1"]
    line = command(run, files, server.url, *brief, "--hold_out", "2")
    assert plan.main([*line, "--assume", "prompt=9"]) == 0
    assert "4 prompts" in capsys.readouterr().out
    assert refine.main([*line, "--limit", "3"]) == 0
    assert refine.main(command(run, files, server.url, *brief)) == 0, (
        "it holds without the option, too"
    )
    out = held_out(run)
    assert len(out) == 2
    asked = {body["messages"][0]["content"] for body in server.bodies}
    assert out.isdisjoint(asked)
    assert not any(text in each for text in out for each in asked)
    used = query(run, "select distinct prompt from responses join prompts using (prompt_id)")
    assert {prompt for (prompt,) in used} == set(TEXTS[:6]) - out
    before = len(server.bodies)
    asks = ["--run", str(run), "--benchmark", "custom", "--engine_url", server.url]
    assert evaluate.main(asks) == 0
    assert {body["messages"][0]["content"] for body in server.bodies[before:]} == out


def test_it_is_for_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refine.main(["--run", str(tmp_path / "run"), "--hold_out", "2"]) == 2
    assert "--hold_out is for --prompts FILES" in capsys.readouterr().err
