"""The folder of an experiment: what it refuses, and that nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.synthetic import results
from training.synthetic.results import BadResults, Measurement, OtherSettings

SETTINGS = {"task": "characters", "steps": 3}
ROWS = [
    Measurement("characters", seed, kind, step, step / 4, 1 / 3)
    for seed in (0, 1)
    for kind in ("interfering", "refined")
    for step in (0, 2, 10)
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    results.write(tmp_path, reversed(ROWS))
    assert results.read(tmp_path) == ROWS
    assert results.done(ROWS[:4]) == {(0, "interfering"), (0, "refined")}


def test_a_new_folder_gets_the_settings(tmp_path: Path) -> None:
    with results.opened(tmp_path / "a" / "b", SETTINGS):
        assert results.read(tmp_path / "a" / "b") == []
    assert json.loads((tmp_path / "a" / "b" / "settings.json").read_text()) == SETTINGS


def test_the_same_settings_go_on_and_others_are_refused(tmp_path: Path) -> None:
    with results.opened(tmp_path, SETTINGS):
        results.write(tmp_path, ROWS)
    with results.opened(tmp_path, dict(SETTINGS)):
        assert results.read(tmp_path) == ROWS
    with (
        pytest.raises(OtherSettings, match="steps is 3, not 4"),
        results.opened(tmp_path, SETTINGS | {"steps": 4}),
    ):
        pass
    assert json.loads((tmp_path / "settings.json").read_text()) == SETTINGS
    assert results.read(tmp_path) == ROWS


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        results.opened(tmp_path, SETTINGS),
        pytest.raises(BadResults, match="another process"),
        results.opened(tmp_path, SETTINGS),
    ):
        pass
    with results.opened(tmp_path, SETTINGS):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "figure.png").write_text("mine")
    with pytest.raises(BadResults, match="not empty"), results.opened(tmp_path, SETTINGS):
        pass
    assert (tmp_path / "figure.png").read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]
    with (
        pytest.raises(BadResults, match="no folder"),
        results.opened(tmp_path / "figure.png", SETTINGS),
    ):
        pass


@pytest.mark.parametrize("text", ["{", "[1]", "null", "\udcff"])
def test_settings_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text, errors="surrogateescape")
    with pytest.raises(BadResults, match="holds no settings"), results.opened(tmp_path, SETTINGS):
        pass


@pytest.mark.parametrize("line", ["characters,0,refined,x,1,1", "characters,0", "\0,,,,,"])
def test_rows_that_are_none(tmp_path: Path, line: str) -> None:
    results.write(tmp_path, ROWS)
    with (tmp_path / "measurements.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadResults, match="no measurement"):
        results.read(tmp_path)
