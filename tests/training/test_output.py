from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.output import Output, OutputDiffers, OutputTaken


def record(**more: Any) -> dict[str, Any]:
    data = {"fingerprint": "f", "selected": 2, "rows": 3}
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


def test_a_loss_that_is_no_number_is_null(tmp_path: Path) -> None:
    Output(tmp_path).write(record(result={"final": {"loss": float("nan")}}))
    text = (tmp_path / "training.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["result"] == {"final": {"loss": None}}


def test_empty_folder_is_free(tmp_path: Path) -> None:
    assert Output(tmp_path).check(record()) is None


def test_a_record_that_is_being_written_is_no_other_thing(tmp_path: Path) -> None:
    """Another process of the launch is at it, or it was killed there."""
    (tmp_path / "training.json.tmp").write_text("{")
    assert Output(tmp_path).check(record()) is None
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(OutputTaken):
        Output(tmp_path).check(record())


def test_a_record_from_before_tasks_is_of_none(tmp_path: Path) -> None:
    Output(tmp_path).write(record(done=True))
    assert Output(tmp_path).check(record(task=None))
    with pytest.raises(OutputDiffers, match="task: None -> 'actor'"):
        Output(tmp_path).check(record(task="actor"))


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
            {"data": {"fingerprint": "g", "selected": 3}},
            "data.fingerprint: 'f' -> 'g', data.selected: 2 -> 3",
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


def test_other_rows_beside_those_trained_on_are_no_change(tmp_path: Path) -> None:
    Output(tmp_path).write(record(done=True))
    grown = {"fingerprint": "f", "selected": 2, "rows": 9}
    assert Output(tmp_path).check(record(data=grown))


STATE = (
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth"),
    *("rng_state_1.pth", "pytorch_model_fsdp.bin", "latest", "zero_to_fp32.py"),
    *("optimizer_0/shard", "pytorch_model_fsdp_0/shard", "global_step8/shard"),
)


def full(checkpoint: Path, *names: str) -> Path:
    for name in names:
        (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
        (checkpoint / name).write_text("much")
    return checkpoint


def test_what_only_serves_to_go_on_goes(tmp_path: Path) -> None:
    full(tmp_path, "model.safetensors", "checkpoint-best/optimizer.pt")
    for step in (4, 8):
        full(checkpoint(tmp_path, step), "model.safetensors", *STATE)
    Output(tmp_path).clean(keeps_checkpoints=True)
    for step in (4, 8):
        left = sorted(path.name for path in (tmp_path / f"checkpoint-{step}").iterdir())
        assert left == ["model.safetensors", "trainer_state.json"]
    Output(tmp_path).clean(keeps_checkpoints=False)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "checkpoint-best"}
    Output(tmp_path).clean(keeps_checkpoints=False)


def test_state_that_is_all_there_is_of_the_model_stays(tmp_path: Path) -> None:
    shards = full(checkpoint(tmp_path, 8), "pytorch_model_fsdp_0/shard", "optimizer_0/shard")
    held = sorted(shards.rglob("*"))
    Output(tmp_path).clean(keeps_checkpoints=False)
    assert sorted(shards.rglob("*")) == held, "there is no model in the folder"
    full(tmp_path, "model.safetensors")
    Output(tmp_path).clean(keeps_checkpoints=True)
    assert sorted(shards.rglob("*")) == held, "there is no model in the checkpoint"


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
