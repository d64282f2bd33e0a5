"""GGUF models as checkpoints: what is refused; tests that run vLLM convert the bundled one."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import gguf_checkpoint


@pytest.mark.parametrize(
    ("model", "output", "says"),
    [
        ("missing.gguf", "out", "no model file at"),
        ("bad.gguf", "taken", "is not empty: give a new folder"),
        ("bad.gguf", "out", "cannot convert"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, output: str, says: str
) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF, or so it says")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    code = gguf_checkpoint.main(
        ["--model", str(tmp_path / model), "--output", str(tmp_path / output)]
    )
    said = capsys.readouterr().err
    assert code == 2
    assert says in said
    assert said.count("\n") == 1
    assert (tmp_path / "taken" / "mine.txt").read_text() == "mine"
