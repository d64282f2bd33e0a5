"""What a training says of itself while it trains, where output is no terminal."""

from __future__ import annotations

import io
import time

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from terminal.console import Console
from training.progress import TrainingProgress


def test_a_line_says_the_step_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 100.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])
    said = io.StringIO()
    shown = TrainingProgress(Console(file=said, width=200))
    given = TrainingArguments(report_to=[]), TrainerState(max_steps=100), TrainerControl()
    given[1].global_step = 10  # goes on from a checkpoint
    shown.on_train_begin(*given)
    for seconds in range(1, 201):
        clock["now"] = 100.0 + seconds
        given[1].global_step = 10 + seconds // 4
        shown.on_log(*given, logs={"loss": 0.5, "rewards/margins": 0.25})
    shown.on_train_end(*given)
    lines = said.getvalue().splitlines()
    starts = [line.partition(", loss 0.5, margin 0.25, ")[0] for line in lines]
    assert starts == [f"train: step {step} of 100" for step in (12, 15, 20, 30, 45, 60)]
    assert lines[0].endswith("10 s so far, about 7 min left")
    assert lines[-1].endswith("200 s so far, about 3 min left")
