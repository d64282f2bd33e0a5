"""The folder of an experiment: its settings, and measurements that grow by whole trainings."""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

SETTINGS = "settings.json"
MEASUREMENTS = "measurements.csv"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Shares of held-out answers that are right and that show the interfering factor."""

    task: str
    seed: int
    pairs: str
    step: int
    accuracy: float
    factor: float


class BadResults(Exception):
    """A folder that holds something else, or that another process is writing."""


class OtherSettings(Exception):
    """A folder that was begun with other settings."""


@contextmanager
def opened(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Keep the folder for this process; what is missing of it and its settings is made.

    Raises:
        OtherSettings: it was begun with others.
        BadResults: it is no experiment's, or another process has it.
        OSError: it cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise BadResults(f"{folder} is no folder; give another --output")
    folder.mkdir(parents=True, exist_ok=True)
    _check_free(folder)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadResults(f"another process is writing {folder}") from None
        _check_settings(folder, settings)
        yield


def read(folder: Path) -> list[Measurement]:
    """What is measured.

    Raises:
        BadResults: a row that is no measurement.
    """
    path = folder / MEASUREMENTS
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            Measurement(
                task=row["task"],
                seed=int(row["seed"]),
                pairs=row["pairs"],
                step=int(row["step"]),
                accuracy=float(row["accuracy"]),
                factor=float(row["factor"]),
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadResults(
            f"{path} holds a row that is no measurement ({error!r}); "
            "move it away, or give another --output"
        ) from None


def write(folder: Path, measurements: Iterable[Measurement]) -> None:
    """Replace the measurements, all at once."""
    new = folder / f"{MEASUREMENTS}.new"
    with new.open("w", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Measurement)])
        rows.writeheader()
        rows.writerows(asdict(m) for m in sorted(measurements, key=_place))
    os.replace(new, folder / MEASUREMENTS)


def done(measurements: Sequence[Measurement]) -> set[tuple[int, str]]:
    """The (seed, pairs) that are measured; a training is written whole or not at all."""
    return {(m.seed, m.pairs) for m in measurements}


def _place(measurement: Measurement) -> tuple[int, str, int]:
    return measurement.seed, measurement.pairs, measurement.step


def _check_free(folder: Path) -> None:
    """Refuse a folder of something else before anything is written to it."""
    names = {file.name for file in folder.iterdir()}
    if SETTINGS not in names and names - {_LOCK, f"{SETTINGS}.new"}:
        raise BadResults(
            f"{folder} is not empty and holds no {SETTINGS}; give another --output "
            "(nothing was overwritten)"
        )


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    path = folder / SETTINGS
    if not path.exists():
        new = folder / f"{SETTINGS}.new"
        new.write_text(json.dumps(settings, indent=1) + "\n")
        os.replace(new, path)
        return
    try:
        begun = json.loads(path.read_bytes())
        differ = [n for n in {**begun, **settings} if begun.get(n) != settings.get(n)]
    except (ValueError, TypeError, AttributeError):
        raise BadResults(f"{path} holds no settings; give another --output") from None
    if differ:
        shown = ", ".join(f"{n} is {begun.get(n)!r}, not {settings.get(n)!r}" for n in differ)
        raise OtherSettings(f"{folder} was begun with other settings: {shown}")
