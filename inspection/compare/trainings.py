"""Which method made what a model was trained on, and what such models came to in benchmarks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from inspection.compare.source import figures, names
from inspection.compare.systems import Results, Row, results
from schemas import lineage, manifest
from schemas.checkpoint import RECORD, content
from schemas.evaluations import Evaluation
from schemas.manifest import is_local
from schemas.table import MAIN
from terminal.exits import UsageError

_BEFORE = "before training"
_DECODE = "decode"


@dataclass(frozen=True, slots=True)
class Model:
    """A model by its name and, where it was there to be looked at, its content.

    made_of: whose rows it learnt.
    """

    name: str
    content: str | None
    made_of: str


def scores(runs: Sequence[str], folders: Sequence[str]) -> list[Results]:
    """What actors that were trained on rows of a method came to, by benchmark.

    The system's run says the method; the models that trainings began with come first.

    Args:
        runs: that hold the evaluations, and maybe models of their own (`RUN/models`).
        folders: of trainings elsewhere.

    Raises:
        OSError: no run is there. UsageError: a folder is no training's.
    """
    known = _models([*_own(runs), *map(Path, folders)])
    found = []
    for run in names(runs):
        for iteration, figure in figures(run):
            model = _find(known, figure, _answered_by(run, iteration, figure.variant))
            if model:
                found.append(Row(model.made_of, iteration, figure))
    found.sort(key=lambda row: row.run != _BEFORE)
    return results(found)


def _own(runs: Sequence[str]) -> Iterator[Path]:
    """The folders of the trainings that runs hold themselves."""
    for run in runs:
        fs, root = fsspec.core.url_to_fs(run)
        if is_local(fs):
            yield from (path.parent for path in sorted(Path(root).glob(f"models/*/{RECORD}")))


def _models(folders: Sequence[Path]) -> list[Model]:
    """The actors that were trained, and then what they were before."""
    trained, before = [], []
    for folder in folders:
        record = _record(folder)
        if record["job"] not in ("dpo", "sft") or record.get("task") == "refiner":
            continue
        trained.append(Model(folder.name, content(folder), _told(record["data"]["kinds"])))
        model = record["model"]
        before.append(Model(os.path.basename(model["name"]), model["content"], _BEFORE))
    return [*trained, *before]


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        raise UsageError(
            f"--models {folder}: no {RECORD} there, so it is no model that training.dpo or "
            "training.sft made"
        ) from None
    return record


def _told(kinds: Sequence[dict[str, Any]]) -> str:
    """Methods, and variants but the main one, in words."""
    words = []
    for kind in kinds:
        variant = kind.get("variant") or MAIN
        method = kind.get("method") or "no method"
        words.append(method if variant == MAIN else f"{method} · {variant}")
    return " + ".join(words) or "no method"


def _answered_by(run: str, iteration: int, variant: str) -> str | None:
    """The content of the model that answered an evaluation's items, as its claim says it."""
    fs, root = fsspec.core.url_to_fs(run)
    maker = lineage.made_by(fs, root, iteration, variant).get(_DECODE, variant)
    folder = f"{root}/{manifest.FOLDER}/iteration={iteration}"
    path = f"{folder}/{manifest.folder(_DECODE, maker)}{manifest.SETTINGS}"
    try:
        said = lineage.claimed(fs.cat_file(path), path).get("actor.content")
    except FileNotFoundError:
        return None
    return said if isinstance(said, str) else None


def _find(known: Sequence[Model], figure: Evaluation, said: str | None) -> Model | None:
    """The model of a figure: the one of this content, else the only one of the name."""
    if said is not None:
        return next((model for model in known if model.content == said), None)
    named = {model for model in known if model.name == figure.model}
    return named.pop() if len(named) == 1 else None
