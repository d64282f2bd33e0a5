"""The commits of a run merged, stage by stage; what is superfluous removed."""

from __future__ import annotations

from contextlib import nullcontext

from pipelines.execution import lease
from pipelines.execution.options import all_stages
from schemas import manifest
from schemas.table import MAIN
from spar_core.dataset import SWEEP_AGE_S, Dataset
from spar_core.merging import merge
from terminal.console import Console
from terminal.exits import UsageError

_SELECTIONS = {stage.name for stage in all_stages() if stage.replaces}
"""Stages whose commits are taken back when other rows belong to the selection: they stay."""


def merge_run(run: str, iteration: int | None, out: Console) -> None:
    """Merge the commits of all stages, and remove what has been superfluous for long.

    Raises:
        UsageError: there is no such run. RunLocked: a job is at work on it, on this machine's disk.
        OSError: it cannot be read or written.
    """
    any_of_it = Dataset(run, 0)
    folders = sorted(manifest.held(any_of_it.fs, any_of_it.root, iteration))
    if not folders:
        where = "" if iteration is None else f" in iteration {iteration}"
        raise UsageError(f"nothing is committed{where} in a run at {run}")
    with lease.held(any_of_it) if any_of_it.is_local else nullcontext():
        for folder in folders:
            _merge_stage(run, folder, out)
        for number in {manifest.iteration_of(f"/{folder}/") for folder in folders}:
            Dataset(run, number).sweep(SWEEP_AGE_S)


def _merge_stage(run: str, folder: str, out: Console) -> None:
    """Merge the commits in the folder of an iteration's stage."""
    dataset = Dataset(run, manifest.iteration_of(f"/{folder}/"))
    stage, variant = manifest.named(folder.partition("/")[2])
    if stage in _SELECTIONS:
        return
    merged = merge(dataset, stage, variant)
    entries = dataset.entries(stage, variant).values()
    files = sum(len(entry.files) for entry in entries)
    name = f"iteration {dataset.iteration}, {stage}{'' if variant == MAIN else f' ({variant})'}"
    out.print(f"{name}: {merged} commits merged; {files} files now", markup=False)
