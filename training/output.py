"""The output folder of a training: whose it is, how far it got, and what it says when done."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD = "training.json"
_CLAIMS = ("job", "model", "data", "settings")

Record = dict[str, Any]


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
            if self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
                raise OutputTaken(
                    f"{self.folder} is not empty and holds no {RECORD}: give a new folder "
                    "(nothing was overwritten)"
                )
            return None
        changes = [
            change for name in _CLAIMS for change in _changes(name, held[name], record[name])
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
        scratch = self.folder / f"{RECORD}.tmp"
        scratch.write_text(json.dumps(record, indent=1, sort_keys=True))
        os.replace(scratch, self.folder / RECORD)

    def checkpoint(self) -> Path | None:
        """The last whole checkpoint: its state is what is written last."""
        whole = [path for path in self._checkpoints() if _is_whole(path)]
        return whole[-1] if whole else None

    def sweep(self) -> None:
        """Remove checkpoints that a crash or a full disk left unfinished."""
        for path in self._checkpoints():
            if not _is_whole(path):
                shutil.rmtree(path)

    def _checkpoints(self) -> list[Path]:
        found = self.folder.glob("checkpoint-*")
        numbered = [path for path in found if path.name.rpartition("-")[2].isdigit()]
        return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))


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
