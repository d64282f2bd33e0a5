"""A training's progress: a bar on a terminal, elsewhere a line, later one a minute."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from terminal import pace
from terminal.console import Console

_SHOWN = {"loss": "loss", "rewards/margins": "margin", "rewards/accuracies": "accuracy"}


class TrainingProgress(TrainerCallback):  # type: ignore[misc]
    """Shows step, loss and reward margin."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("train", numbers="", total=None)
        self._start = time.monotonic()
        self._next = pace.FIRST_LINE_S
        self._before = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._start, self._before = time.monotonic(), state.global_step
        self._bar.update(self._task, total=state.max_steps, completed=state.global_step)
        self._bar.start()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._bar.stop()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        logged = [(label, (logs or {}).get(name)) for name, label in _SHOWN.items()]
        numbers = ", ".join(f"{label} {float(v):.3g}" for label, v in logged if v is not None)
        self._bar.update(self._task, completed=state.global_step, numbers=numbers)
        passed = time.monotonic() - self._start
        if not self._console.is_terminal and passed >= self._next:
            self._next = passed + pace.pause(passed)
            done, total = state.global_step, state.max_steps
            left = pace.left(passed, done - self._before, total - done)
            said = [f"train: step {done} of {total}", numbers, f"{passed:.0f} s so far", left]
            self._console.print(", ".join(filter(None, said)), markup=False)
