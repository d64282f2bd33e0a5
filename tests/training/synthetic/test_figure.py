"""Means, deviations and the drawn file."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.synthetic import figure
from training.synthetic.results import Measurement
from training.synthetic.task import KINDS

MEASURED = [
    Measurement("characters", seed, kind, step, 0.5 + 0.1 * seed * (step > 0), 0.25)
    for seed in (0, 1, 2)
    for kind in KINDS
    for step in (0, 5)
]


def test_spread() -> None:
    assert figure.spread([0.5, 0.6, 0.7]) == pytest.approx((0.6, 0.1))
    assert figure.spread([0.5]) == (0.5, 0.0)


def test_the_table_has_start_and_ends() -> None:
    table = figure.table(MEASURED, "upper case")
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == ["none: the start", "interfering", "refined"]
    assert columns[1] == ["0", "5", "5"]
    assert columns[2] == ["0.500 ± 0.000", "0.600 ± 0.100", "0.600 ± 0.100"]
    assert columns[3] == ["0.250 ± 0.000"] * 3


def test_a_picture_is_drawn_over_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    figure.draw(MEASURED, "upper case", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 160_000
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]
