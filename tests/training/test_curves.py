from __future__ import annotations

import csv
from pathlib import Path

from training.curves import draw, write_csv

LOG = [
    {"step": 1, "loss": 0.7, "rewards/margins": 0.0},
    {"step": 2, "loss": 0.6, "rewards/margins": 0.1},
    {"step": 2, "eval_loss": 0.65},
    {"step": 3, "loss": 0.5, "rewards/margins": 0.2},
]


def test_csv_has_a_line_for_a_step_and_a_column_for_a_number(tmp_path: Path) -> None:
    write_csv(LOG, tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[1] == {"step": "2", "loss": "0.6", "rewards/margins": "0.1", "eval_loss": "0.65"}
    assert rows[0]["eval_loss"] == ""


def test_drawn_are_the_panels_that_were_logged(tmp_path: Path) -> None:
    draw(LOG, tmp_path / "two.png", "two panels")
    draw([{"step": 1, "loss": 1.0}], tmp_path / "one.png", "one panel")
    draw([{"step": 1, "epoch": 1.0}], tmp_path / "none.png", "nothing to draw")
    width = {p.stem: int.from_bytes(p.read_bytes()[16:20], "big") for p in tmp_path.glob("*.png")}
    assert width["two"] == 2 * width["one"] and "none" not in width
