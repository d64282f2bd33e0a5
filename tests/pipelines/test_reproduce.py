"""Reproduce: steps done once and in order, stopped and gone on with, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import reproduce
from pipelines.execution import child
from pipelines.reproduction.record import FILE
from pipelines.reproduction.running import PAGE
from pipelines.reproduction.settings import path_of
from pipelines.reproduction.step import Step

NOTE = """
import pathlib, sys
pathlib.Path('done').open('a').write(sys.argv[1])
pathlib.Path('run/p.json').write_text('{"perplexity": 12.5, "tokens": 99}')
sys.exit(int(sys.argv[2]))
"""


def noted(name: str, code: int = 0) -> Step:
    """A step that notes that it was done."""
    command = [sys.executable, "-c", NOTE, name, str(code)]
    found = {"seed": ord(name), "measure": "perplexity", "line": "base", "iteration": 0}
    found |= {"run": "p.json", "variant": "v", "benchmark": "perplexity"}
    found |= {"decoder": "greedy", "responses": 1}
    return Step(f"seed 1: test: {name}", lambda: command, evaluation=found)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps that there are, for a test to fill in."""
    planned: list[Step] = []
    monkeypatch.setattr(reproduce, "steps", lambda *_: planned)
    return planned


def record(place: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((place / "run" / FILE).read_text())
    return held


def test_steps_are_done_once_and_in_order_and_the_page_comes_last(
    place: Path, planned: list[Step], capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Step("seed 1: test: nothing", lambda: None)
    planned += [noted("a"), nothing, noted("b", 3), noted("c")]
    assert reproduce.main(["--run", "run"]) == 0
    assert (place / "done").read_text() == "abc"
    held = record(place)
    codes = [(step["name"][-1], step["code"]) for step in held["steps"]]
    assert codes == [("a", 0), ("g", 3), ("b", 3), ("c", 0)]
    assert [chr(each["seed"]) for each in held["evaluations"]] == ["a", "b", "c"]
    assert "12.5" in (place / "run" / PAGE).read_text()
    assert "step 4 of 4: seed 1: test: c" in capsys.readouterr().out
    assert reproduce.main(["--run", "run"]) == 0
    assert (place / "done").read_text() == "abc"


@pytest.mark.parametrize(
    ("code", "ends", "said"),
    [(2, 2, ""), (4, 4, ""), (5, 5, ""), (1, 4, "seed 1: test: b ended with code 1: run the same")],
)
def test_a_step_that_fails_ends_it_and_the_same_command_goes_on_there(
    place: Path,
    planned: list[Step],
    capsys: pytest.CaptureFixture[str],
    code: int,
    ends: int,
    said: str,
) -> None:
    planned += [noted("a"), noted("b", code), noted("c")]
    assert reproduce.main(["--run", "run"]) == ends
    error = capsys.readouterr().err
    assert said in error and bool(said) == bool(error)
    assert (place / "done").read_text() == "ab"
    planned[1] = noted("b")
    assert reproduce.main(["--run", "run"]) == 0
    assert (place / "done").read_text() == "abbc"


def test_ctrl_c_between_two_steps_stops_there(
    place: Path,
    planned: list[Step],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned += [noted("a"), noted("b")]
    real = child.run

    def pressed(*given: Any) -> int:
        code = real(*given)
        os.kill(os.getpid(), signal.SIGINT)
        return code

    monkeypatch.setattr(child, "run", pressed)
    assert reproduce.main(["--run", "run"]) == 4
    assert capsys.readouterr().err == "error: interrupted: run the same command again to go on\n"
    assert (place / "done").read_text() == "a"
    assert len(record(place)["steps"]) == 1


def test_a_folder_is_held_against_others_and_to_its_settings(
    place: Path, planned: list[Step], capsys: pytest.CaptureFixture[str]
) -> None:
    inner: list[int] = []
    again = Step(
        "seed 1: test: again",
        lambda: None,
        before=lambda: inner.append(reproduce.main(["--run", "run"])),
    )
    planned += [noted("a"), again]
    assert reproduce.main(["--run", "run"]) == 0
    assert inner == [2]
    assert "another process is working on" in capsys.readouterr().err
    mine = place / "mine.yaml"
    mine.write_text(path_of("cpu").read_text().replace("iterations: 3\n", "iterations: 2\n", 1))
    assert reproduce.main(["--run", "run", "--settings", str(mine)]) == 5
    assert "was begun with other settings (iterations differ)" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["cpu", "gpu", "8b"])
def test_a_dry_run_says_what_it_takes_and_starts_nothing(
    place: Path,
    scale: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child, "run", lambda *_: pytest.fail("nothing is started"))
    assert reproduce.main(["--scale", scale, "--dry_run", "--rate", "engine_tokens_s=1000"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1,000 tokens/s of an engine" in said
    assert "main line" in said and "Memory of" in said
    assert ("money" in said) == (scale != "cpu")
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--scale", "70b"], "--scale"),
        (["--settings", "missing.yaml"], "cannot read missing.yaml"),
        (["--rate", "speed=1"], "--rate 'speed=1': give NAME=VALUE with one of parameters"),
        (["--rate", "gpus=many"], "--rate 'gpus=many'"),
        (["--seeds", "0"], "--seeds"),
        (["--nope"], "--nope"),
        (["--run", "file/run"], "cannot write to"),
    ],
)
def test_a_mistake_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    (place / "file").touch()
    assert reproduce.main(argv) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and error.count("\n") == 1
