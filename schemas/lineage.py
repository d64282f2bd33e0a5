"""Which experiment's rows of a stage an experiment uses.

An experiment makes anew only what its settings change and shares the rest. What it shares stands in
files beside the manifest's entries, `_manifest/iteration=<t>/<stage>@<experiment>.settings`: with
`{"as": "main"}` it uses the rows of `main`, with anything else those that it made under these
settings. `main` uses its own.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass

import fsspec

from schemas.manifest import FOLDER, Entry, iteration_of
from schemas.table import MAIN

STAGES = ("sample", "judge", "tree_search", "pairs", "rft")
"""Every experiment has a link for each of these, and for whatever else the run has seen."""

_ENDING = ".settings"


@dataclass(frozen=True, slots=True)
class Link:
    """Which experiment made the rows of a stage that an experiment uses."""

    iteration: int
    experiment: str
    stage: str
    made_by: str


def made_by(
    fs: fsspec.AbstractFileSystem, root: str, iteration: int, experiment: str
) -> dict[str, str]:
    """By stage the experiment whose rows this one uses; a stage it says nothing of is main's.

    Args:
        fs, root: the run, as `fsspec.core.url_to_fs` gives it.

    Raises:
        ValueError: a file of settings cannot be read.
    """
    return {link.stage: link.made_by for link in _said(fs, root, str(iteration), experiment)}


def read(fs: fsspec.AbstractFileSystem, root: str, entries: Mapping[str, Entry]) -> list[Link]:
    """The links of every experiment of a run for every stage, those left unsaid included.

    What an experiment committed of a stage without saying anything of it is its own.

    Raises:
        ValueError: a file of settings cannot be read.
    """
    known = {
        (iteration_of(path), entry.experiment, entry.stage): entry.experiment
        for path, entry in entries.items()
    }
    for link in _said(fs, root):
        known[link.iteration, link.experiment, link.stage] = link.made_by
    stages = sorted({*STAGES, *(stage for _, _, stage in known)})
    experiments = {(iteration, name) for iteration, name, _ in known}
    experiments |= {(iteration, MAIN) for iteration, _ in experiments}
    return [
        Link(iteration, name, stage, known.get((iteration, name, stage), MAIN))
        for iteration, name in sorted(experiments)
        for stage in stages
    ]


def _said(
    fs: fsspec.AbstractFileSystem, root: str, iteration: str = "*", experiment: str = "*"
) -> list[Link]:
    """What the files of settings say; main's are not asked, it uses its own."""
    folder = f"{glob.escape(root)}/{FOLDER}/iteration={iteration}"
    paths = sorted(fs.glob(f"{folder}/*@{experiment}{_ENDING}"))
    texts = fs.cat_ranges(paths, None, None, on_error="raise") if paths else []
    return [_link(path, text) for path, text in zip(paths, texts, strict=True)]


def _link(path: str, text: bytes) -> Link:
    stage, _, experiment = path.rpartition("/")[2].removesuffix(_ENDING).partition("@")
    try:
        maker = str(dict(json.loads(text)).get("as", experiment))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no settings: {error}") from None
    return Link(iteration_of(path), experiment, stage, maker)
