"""A job that cannot go on, and the note of it that its run holds for the workers.

What no other try mends is tried once: a runner tries again what failed, each time after a long
start of an engine; workers that begin look for the note first. It is of one plan, so that no later
job is stopped by it.
"""

from __future__ import annotations

import contextlib

from pipelines.execution.removal import remove_folder
from spar_core.dataset import Dataset

INTERRUPTED = "interrupted"

_FOLDER = "_stop"


class RunStopped(Exception):
    """The run cannot go on now; started again with the same command it does."""


def tell(dataset: Dataset, plan: str, why: str) -> None:
    """Leave a note, where the run can be written to."""
    with contextlib.suppress(OSError):
        dataset.fs.makedirs(f"{dataset.root}/{_FOLDER}", exist_ok=True)
        dataset.replace(f"{dataset.root}/{_FOLDER}/{plan}", why.encode())


def told(dataset: Dataset, plan: str) -> str:
    """Why a plan's job cannot go on, "" where nobody said so."""
    try:
        return str(dataset.fs.cat_file(f"{dataset.root}/{_FOLDER}/{plan}"), "utf-8")
    except OSError:
        return ""


def clear(dataset: Dataset) -> None:
    """Take all notes away; for a driver, while no job is there."""
    remove_folder(dataset.fs, f"{dataset.root}/{_FOLDER}")
