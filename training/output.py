"""The output folder of a training: whose it is, how far it got, and what it says when done."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.checkpoint import RECORD
from terminal.json_text import dumps

_SCRATCH = f"{RECORD}.tmp"
"""A record that is being written, maybe by another process of the same launch."""
_CLAIMS = ("job", "task", "model", "data", "settings")
_GROWS = ("rows",)
"""Of the data, what may change under a training: a run comes to hold other rows beside its own."""

_STATE = (
    *("optimizer*", "rank*-optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth"),
    *("pytorch_model_fsdp*", "global_step*", "latest", "zero_to_fp32.py"),
)
"""What a checkpoint holds beside its model, to go on from: of torch, of FSDP, of DeepSpeed."""

Record = dict[str, Any]


def called(record: Record) -> str:
    """The job that a record is of, with its task: `dpo`, `sft (actor)`."""
    return f"{record['job']} ({record['task']})" if record.get("task") else str(record["job"])


class OutputTaken(Exception):
    """The folder holds something that is no training of ours."""


class OutputDiffers(Exception):
    """The folder holds a training with other data, model or settings."""


@dataclass(frozen=True, slots=True)
class Output:
    """A folder with a training's record, its checkpoints and, when done, its model."""

    folder: Path

    def record(self) -> Record | None:
        """What the training in the folder says of itself; None without one."""
        try:
            record: Record = json.loads((self.folder / RECORD).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return record

    def check(self, record: Record) -> Record | None:
        """What stands in the folder if it is this very training, None where it is free.

        Raises:
            OutputTaken, OutputDiffers: it is not for this training to write to.
        """
        held = self.record()
        if held is None:
            others = {path.name for path in self.folder.glob("*")} - {_SCRATCH}
            if self.folder.is_file() or others:
                raise OutputTaken(
                    f"{self.folder} is not empty and holds no {RECORD}: give a new folder "
                    "(nothing was overwritten)"
                )
            return None
        wanted = record | {"data": {k: v for k, v in record["data"].items() if k not in _GROWS}}
        changes = [
            change
            for name in _CLAIMS
            for change in _changes(name, held.get(name), wanted.get(name))
        ]
        if changes:
            raise OutputDiffers(
                f"{self.folder} holds a training that was begun otherwise ({', '.join(changes)}): "
                "give the settings it was begun with, or a new folder (nothing was overwritten)"
            )
        return held

    def write(self, record: Record) -> None:
        """Put the record in the folder, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / _SCRATCH
        scratch.write_text(dumps(record, indent=1, sort_keys=True))
        _flush(scratch)
        os.replace(scratch, self.folder / RECORD)
        _flush(self.folder)

    def flush(self) -> None:
        """Have the disk hold what was written, so that a power cut leaves no record without it."""
        for path in [*self.folder.iterdir(), *(self.folder / "adapter").glob("*")]:
            if path.is_file():
                _flush(path)

    def checkpoint(self) -> Path | None:
        """The last whole checkpoint: its state is what is written last."""
        whole = [path for path in self._checkpoints() if _is_whole(path)]
        return whole[-1] if whole else None

    def sweep(self) -> None:
        """Remove checkpoints that a crash or a full disk left unfinished."""
        for path in self._checkpoints():
            if not _is_whole(path):
                shutil.rmtree(path)

    def clean(self, keeps_checkpoints: bool) -> None:
        """Remove what only served to go on with a training that its record says is done.

        Killed before or halfway, it is done by the next start. Nothing goes where the model is
        not in the folder, and of a checkpoint nothing where its state is all that it has of the
        model: engines of several GPUs may be told to write it in no other form.

        Args:
            keeps_checkpoints: whether the models of the checkpoints stay.
        """
        if not _has_model(self.folder):
            return
        for path in self._checkpoints():
            if not keeps_checkpoints:
                shutil.rmtree(path)
            elif _has_model(path):
                for state in [found for pattern in _STATE for found in path.glob(pattern)]:
                    shutil.rmtree(state) if state.is_dir() else state.unlink()

    def _checkpoints(self) -> list[Path]:
        found = self.folder.glob("checkpoint-*")
        numbered = [path for path in found if path.name.rpartition("-")[2].isdigit()]
        return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))


def _flush(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _has_model(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _changes(name: str, held: Any, wanted: Any) -> list[str]:
    """What differs; names that only one side knows come from other versions of the libraries."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        common = [key for key in wanted if key in held]
        return [c for key in common for c in _changes(f"{name}.{key}", held[key], wanted[key])]
    return [] if held == wanted else [f"{name}: {held!r} -> {wanted!r}"]
