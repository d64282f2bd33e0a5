"""Ctrl-C and a scheduler's SIGTERM during training: a checkpoint is written, then it stops."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(TrainerCallback):  # type: ignore[misc]
    """Stops a training after the step in progress; a second signal kills as it always does."""

    def __init__(self) -> None:
        self.is_pressed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.is_pressed = True
        signal.signal(number, self._before[number])

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: object,
    ) -> TrainerControl:
        if args.world_size > 1:  # all processes stop at the same step
            pressed = torch.tensor(int(self.is_pressed), device=args.device)
            torch.distributed.all_reduce(pressed, op=torch.distributed.ReduceOp.MAX)
            self.is_pressed = bool(pressed.item())
        if self.is_pressed:
            control.should_save = True
            control.should_training_stop = True
        return control
