"""What is done of a reproduction, as its file says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.reproduction.record import FILE, Record
from spar_core.variants import SettingsDiffer
from terminal.exits import InputError

SETTINGS = {"iterations": 3, "about": "two cores", "rates": {"gpus": 0}}


def test_steps_that_are_done_are_found_again(tmp_path: Path) -> None:
    record = Record.of(tmp_path, "cpu", SETTINGS)
    assert record.code("one") is None
    record.done("one", ["python"], 1.26, 0, None)
    record.done("two", ["python"], 2.0, 3, {"measure": "taught"})
    again = Record.of(tmp_path, "cpu", SETTINGS)
    assert (again.code("one"), again.code("two")) == (0, 3)
    held = json.loads((tmp_path / FILE).read_text())
    assert held["steps"][0] == {"name": "one", "seconds": 1.3, "command": ["python"], "code": 0}
    assert held["evaluations"] == again.evaluations == [{"measure": "taught"}]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_other_settings_are_refused_but_for_words_and_rates(tmp_path: Path) -> None:
    Record.of(tmp_path, "cpu", SETTINGS).done("one", [], 1, 0, None)
    Record.of(tmp_path, "cpu", {**SETTINGS, "about": "slow", "rates": {"gpus": 8}})
    with pytest.raises(SettingsDiffer, match=r"\(iterations, more differ\)"):
        Record.of(tmp_path, "cpu", {**SETTINGS, "iterations": 2, "more": 1})


@pytest.mark.parametrize("content", ["", "[]", '{"steps": []}', '{"steps": [{}]}'])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match=r"reproduction\.json is no record"):
        Record.of(tmp_path, "cpu", SETTINGS)
