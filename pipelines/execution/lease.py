"""Who may write to a run: one driver at a time.

A file lock of the kernel's: it ends with its holder however that ends, and a child that is handed
the open file holds it as long as it lives. On object stores nothing keeps drivers apart yet; there
two plans race for the names of commits, and every item is committed once all the same.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spar_core.dataset import Dataset


class RunLocked(Exception):
    """Another process works on this run."""


@contextmanager
def held(dataset: Dataset) -> Iterator[None]:
    """Hold a run against other drivers.

    Raises:
        RunLocked: another one holds it.
    """
    if not dataset.is_local:
        yield
        return
    os.makedirs(dataset.root, exist_ok=True)
    with locked(Path(dataset.root) / ".lock", dataset.run):
        yield


@contextmanager
def locked(path: Path, run: str) -> Iterator[int]:
    """Hold a lock file; yields the open file's number, for children to hold it too.

    Raises:
        RunLocked: another process holds it.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunLocked(f"another process is working on the run {run}") from None
        yield file.fileno()
