"""Perplexity of plain text: the mean over tokens, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import perplexity

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Hello there.", ""]


def test_every_token_counts_alike(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    losses = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        if ids.shape[1] > 1:
            with torch.inference_mode():
                said = loaded(ids).logits.log_softmax(-1)[0, :-1]
            losses += (-said[range(ids.shape[1] - 1), ids[0, 1:]]).tolist()
    value, tokens = perplexity.perplexity(model, TEXTS)
    assert tokens == len(losses)
    assert value == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-4)


def test_there_is_text_enough() -> None:
    texts = perplexity.texts()
    assert len(texts) > 50 and sum(map(len, texts)) > 100_000


def test_it_is_written_whole(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perplexity, "texts", lambda: TEXTS)
    file = tmp_path / "new" / "perplexity.json"
    assert perplexity.main(["--model", str(model), "--output", str(file)]) == 0
    held = json.loads(file.read_text())
    assert held["tokens"] > 5 and held["perplexity"] > 1
    assert f"perplexity {held['perplexity']:.3f} on" in capsys.readouterr().out
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_folder_without_a_model_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--model", str(tmp_path), "--output", str(tmp_path / "out.json")]
    assert perplexity.main(argv) == 2
    assert capsys.readouterr().err.startswith(f"error: no checkpoint in {tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    assert perplexity.main(argv) == 2
    assert capsys.readouterr().err.count("\n") == 1
