from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.output import Output, OutputDiffers, OutputTaken


def record(**more: Any) -> dict[str, Any]:
    data = {"fingerprint": "f", "rows": 3}
    return {"job": "dpo", "model": {"name": "m"}, "data": data, "settings": {"beta": 0.1}, **more}


def checkpoint(folder: Path, step: int, state: str = "{}") -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text(state)
    return path


def test_free_folder_then_its_own_training(tmp_path: Path) -> None:
    output = Output(tmp_path / "new" / "deep")
    assert output.check(record()) is None
    output.write(record(done=False))
    held = output.check(record())
    assert held is not None and held["done"] is False
    assert [path.name for path in output.folder.iterdir()] == ["training.json"]


def test_empty_folder_is_free(tmp_path: Path) -> None:
    assert Output(tmp_path).check(record()) is None


def test_other_things_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(OutputTaken, match="nothing was overwritten"):
        Output(tmp_path).check(record())
    with pytest.raises(OutputTaken):
        Output(tmp_path / "thesis.txt").check(record())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"job": "rft"}, "job: 'dpo' -> 'rft'"),
        ({"model": {"name": "n"}}, "model.name: 'm' -> 'n'"),
        (
            {"data": {"fingerprint": "g", "rows": 4}},
            "data.fingerprint: 'f' -> 'g', data.rows: 3 -> 4",
        ),
        ({"settings": {"beta": 0.2}}, "settings.beta: 0.1 -> 0.2"),
    ],
)
def test_another_training_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    Output(tmp_path).write(record(done=True))
    with pytest.raises(OutputDiffers, match=said):
        Output(tmp_path).check(record(**change))


def test_setting_that_only_a_newer_library_knows_is_no_change(tmp_path: Path) -> None:
    Output(tmp_path).write(record(done=True))
    assert Output(tmp_path).check(record(settings={"beta": 0.1, "new": 1}))


def test_last_whole_checkpoint(tmp_path: Path) -> None:
    output = Output(tmp_path)
    assert output.checkpoint() is None
    nine, ten = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    half, cut = checkpoint(tmp_path, 11, state='{"step":'), tmp_path / "checkpoint-12"
    cut.mkdir()
    (tmp_path / "checkpoint-best").mkdir()
    assert output.checkpoint() == ten
    output.sweep()
    assert nine.exists() and ten.exists() and (tmp_path / "checkpoint-best").exists()
    assert not half.exists() and not cut.exists()
