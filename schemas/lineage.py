"""Which variant's rows of a stage a variant uses.

A variant makes anew only what its settings change and shares the rest. What it shares stands in
files beside the manifest's entries, `_manifest/iteration=<t>/<stage>@<variant>.settings`: with
`{"as": "main"}` it uses the rows of `main`, with anything else those that it made under these
settings. `main` uses its own.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import names
from schemas.entries import Entry
from schemas.manifest import FOLDER, SETTINGS, iteration_of, named
from schemas.table import MAIN

if TYPE_CHECKING:
    import fsspec

USES = "as"
"""The setting that names the variant whose rows are used."""

INPUT = "from."
"""Settings whose names begin so say of which variant a stage's inputs are."""

STAGES = ("sample", "judge", "tree_search", "pairs", "rft")
"""A data round's variant has a link for each of these, and for whatever else the run has seen."""

EVALUATING = (
    *("decode", "check", "grade", "figures", "best_answer"),
    *("decode_refined", "check_refined", "grade_refined", "figures_refined"),
)
"""Stages of evaluations and answers: a variant of these alone has no part in a data round."""


@dataclass(frozen=True, slots=True)
class Link:
    """Which variant made the rows of a stage that a variant uses."""

    iteration: int
    variant: str
    stage: str
    made_by: str


def made_by(
    fs: fsspec.AbstractFileSystem, root: str, iteration: int, variant: str
) -> dict[str, str]:
    """By stage the variant whose rows this one uses; a stage it says nothing of is main's.

    Args:
        fs, root: the run, as `fsspec.core.url_to_fs` gives it.

    Raises:
        BadControlFile: a file of settings cannot be read.
    """
    return {link.stage: link.made_by for link in _said(fs, root, str(iteration), variant)}


def read(fs: fsspec.AbstractFileSystem, root: str, entries: Mapping[str, Entry]) -> list[Link]:
    """The links of every variant of a run for every stage, those left unsaid included.

    What a variant committed of a stage without saying anything of it is its own. A variant of
    evaluations alone has links of what it says or committed only.

    Raises:
        BadControlFile: a file of settings cannot be read.
    """
    known = {
        (iteration_of(path), entry.variant, entry.stage): entry.variant
        for path, entry in entries.items()
    }
    for link in _said(fs, root):
        known[link.iteration, link.variant, link.stage] = link.made_by
    stages = sorted({*STAGES, *(stage for _, _, stage in known)})
    rounds = {(iteration, name) for iteration, name, stage in known if stage not in EVALUATING}
    rounds |= {(iteration, MAIN) for iteration, _, _ in known}
    unsaid = {(iteration, name, stage): MAIN for iteration, name in rounds for stage in stages}
    return [Link(*place, made_by) for place, made_by in sorted((unsaid | known).items())]


def _said(
    fs: fsspec.AbstractFileSystem, root: str, iteration: str = "*", variant: str = "*"
) -> list[Link]:
    """What the files of settings say; main's are not asked, it uses its own."""
    folder = f"{glob.escape(root)}/{FOLDER}/iteration={iteration}"
    paths = sorted(fs.glob(f"{folder}/*@{variant}{SETTINGS}"))
    texts = fs.cat_ranges(paths, None, None, on_error="raise") if paths else []
    return [_link(path, text) for path, text in zip(paths, texts, strict=True)]


def _link(path: str, text: bytes) -> Link:
    stage, variant = named(path.rpartition("/")[2].removesuffix(SETTINGS))
    return Link(iteration_of(path), variant, stage, claimed(text, path).get(USES, variant))


def claimed(text: bytes, path: str) -> dict[str, Any]:
    """Read a file of settings.

    Args:
        text: what it holds. path: of the file, for messages.

    Returns:
        Its settings by name; under `USES` the variant whose rows are used.

    Raises:
        BadControlFile: it is no JSON object, or names a variant by no name of one.
    """
    try:
        plain = dict(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        names.refused(path, f"holds no settings ({error})")
    for name, value in plain.items():
        if name == USES or name.startswith(INPUT):
            names.matched(names.VARIANT, value, path, "the variant")
    return plain
