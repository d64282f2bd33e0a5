"""Where a stage's journal lies: beside the run, on a local disk only."""

from __future__ import annotations

from pathlib import Path

from pipelines.execution.plan import Part
from schemas import manifest
from spar_core.dataset import Dataset
from spar_core.engine.journal import Journal


def open_journal(dataset: Dataset, part: Part) -> Journal:
    """The journal of a stage.

    Raises:
        OSError: it cannot be written.
    """
    return Journal(_path(dataset, part))


def clear_journal(dataset: Dataset, part: Part) -> None:
    """Remove a stage's journal: all that it paid for is committed."""
    path = _path(dataset, part)
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def _path(dataset: Dataset, part: Part) -> Path:
    name = manifest.folder(part.stage.name, part.variant)
    return Path(dataset.root) / "_journal" / f"iteration={dataset.iteration}" / f"{name}.sqlite"
