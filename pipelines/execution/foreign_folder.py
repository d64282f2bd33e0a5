"""A folder that holds other things is not made a run by accident."""

from __future__ import annotations

from schemas import TABLES, manifest
from spar_core.dataset import Dataset
from terminal.exits import UsageError

_OURS = {"models", "engine.log", *TABLES}
"""What a run's folder may hold before its first commit, beside names that begin with `_` or `.`."""

_SHOWN = 3


def check(dataset: Dataset) -> None:
    """See that a run's folder is a run, new or empty.

    Raises:
        UsageError: it is none of these.
    """
    fs, root = dataset.fs, dataset.root
    if fs.exists(f"{root}/{manifest.FOLDER}") or not fs.isdir(root):
        return
    names = [path.rstrip("/").rpartition("/")[2] for path in fs.ls(root, detail=False)]
    others = sorted(name for name in names if name[:1] not in ("", "_", ".") and name not in _OURS)
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        raise UsageError(
            f"--run {dataset.run} is no run and holds other things ({', '.join(others[:_SHOWN])}"
            f"{more}): give a folder of its own, or --force to make the run there"
        )
