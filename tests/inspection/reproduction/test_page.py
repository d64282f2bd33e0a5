"""Parts of the page that the command's tests do not reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inspection.reproduction.contract import Reproduction
from inspection.reproduction.measured import Results
from inspection.reproduction.page import page


def made(run: str = "run", **more: Any) -> str:
    held = {"scale": "cpu", "settings": {}, "steps": [], "evaluations": [], **more}
    return page(Reproduction(**held), Results(), run, "plots").text


def test_without_settings_there_is_no_table_of_them() -> None:
    assert "### Settings" not in made()
    assert "run at the scale cpu.\n" in made()


def test_settings_are_shown_by_group_and_cut_where_they_are_long() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    settings = {"a": {"b": [1, "x"]}, "c": "y" * 300, "d": True, "e": deep}
    text = made(settings=settings)
    assert '| a.b | [1, "x"] |' in text
    assert f"| c | {'y' * 200} … |" in text
    assert "| d | true |" in text
    assert "| e | nested too deeply to be shown |" in text


@pytest.mark.parametrize(
    ("scale", "words"), [("8b", "--scale 8b --run"), ("mine", "--settings mine.yaml --run")]
)
def test_a_scale_of_ones_own_is_a_file_of_settings(scale: str, words: str) -> None:
    assert f"`python -m pipelines.reproduce {words} run`" in made(scale=scale)


def test_a_folder_is_named_from_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "--run runs/small`" in made(str(tmp_path / "runs" / "small"))
    assert f"--run {tmp_path.parent}`" in made(str(tmp_path.parent))
