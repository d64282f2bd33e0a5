"""Merge: the many commits of a run's stages become few, so that it opens and answers fast."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext

from rich.console import Console

from pipelines.execution import lease
from pipelines.execution.lease import RunLocked
from pipelines.execution.options import Parser, all_stages, underscored
from schemas import manifest
from schemas.table import MAIN
from spar_core.dataset import SWEEP_AGE_S, Dataset
from spar_core.merging import merge
from spar_core.stages.drawing import whole
from terminal.exits import BAD_USAGE, DONE, STOPPED, UsageError, complain

_SELECTIONS = {stage.name for stage in all_stages() if stage.replaces}
"""Stages whose commits are taken back when other rows belong to the selection: they stay."""


def main(argv: Sequence[str] | None = None) -> int:
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    run = ""
    try:
        options = _options(argv)
        run = options.run
        _merge(run, options.iteration, out)
    except (UsageError, RunLocked) as error:
        return complain(err, str(error), BAD_USAGE)
    except OSError as error:
        return complain(err, f"cannot read or write the run {run}: {error}", STOPPED)
    except KeyboardInterrupt:
        return complain(err, "interrupted: run the same command again to go on", STOPPED)
    return DONE


def _options(argv: Sequence[str] | None) -> Namespace:
    parser = Parser(
        prog="python -m pipelines.merge",
        description=__doc__,
        epilog="A job merges by itself what is worth it when a stage ends. Readers and, on object "
        "stores, jobs may be at work meanwhile. What is superfluous goes an hour later, with the "
        "next job or this command. Exit codes: 0 done; 2 bad usage; 4 stopped, nothing is lost.",
        allow_abbrev=False,
    )
    parser.add_argument("--run", required=True, metavar="DIR", help="folder of the run, or its URL")
    parser.add_argument(
        "--iteration", type=whole(0), metavar="N", help="this iteration alone (default: all)"
    )
    arguments = [underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    return parser.parse_args(arguments)


def _merge(run: str, iteration: int | None, out: Console) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
