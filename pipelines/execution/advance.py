"""How far the stages of a run are, as its manifest tells; nothing is held and nothing changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from pipelines.execution.options import all_stages
from pipelines.execution.plan import Part, items, keys_of
from schemas import lineage, manifest
from schemas.entries import Entry
from schemas.manifest import SETTINGS, iteration_of, named
from spar_core import variants
from spar_core.dataset import Dataset
from spar_core.stage import Stage, StageSettings


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a stage of an iteration is, in the variant whose rows it makes.

    done: items that are settled for good. pending: those that are not, of what the stages before
    it have made until now; None where that cannot be told. failed: its rows of `failures`.
    tokens: read and written. last: when something was committed, None for never.
    """

    iteration: int
    stage: str
    variant: str
    done: int
    pending: int | None
    failed: int
    tokens: int
    last: datetime | None


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    iteration: int
    stage: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClaimedSettings(StageSettings):
    """What a stage was begun with, as the run has it written down."""

    claim: Mapping[str, Any]

    def named(self) -> dict[str, Any]:
        return dict(self.claim)


def advances(run: str) -> Iterator[Advance]:
    """How far every stage is that was begun.

    Raises:
        OSError: the run cannot be read. ValueError: what it holds is no manifest.
    """
    dataset = Dataset(run, 0)
    entries: dict[_Place, dict[str, Entry]] = defaultdict(dict)
    for path, entry in manifest.read(dataset.fs, dataset.root).items():
        entries[_Place(iteration_of(path), entry.stage, entry.variant)][path] = entry
    folder = f"{dataset.root}/{manifest.FOLDER}"
    dataset.fs.invalidate_cache(folder)
    files = dataset.fs.find(folder, detail=True)
    stages = _stages()
    claims = {
        place: claim
        for place, claim in _claims(dataset, files)
        if place.stage in stages and "as" not in claim
    }
    order = {name: number for number, name in enumerate(stages)}

    def rank(place: _Place) -> tuple[int, int, _Place]:
        return place.iteration, order.get(place.stage, -1), place

    for place in sorted({*entries, *claims}, key=rank):
        some = entries.get(place, {})
        stage, claim = stages.get(place.stage), claims.get(place)
        times = [_written(files[at]) for path in some if (at := path.partition("#")[0]) in files]
        failed = [entry.files["failures"] for entry in some.values() if "failures" in entry.files]
        yield Advance(
            iteration=place.iteration,
            stage=place.stage,
            variant=place.variant,
            done=sum(len(entry.keys) for entry in some.values() if not entry.retry),
            pending=_pending(run, place, stage, claim, some) if stage and claim else None,
            failed=sum(file.rows for file in failed),
            tokens=sum(_tokens(entry) for entry in some.values()),
            last=max(times, default=None),
        )


def _stages() -> dict[str, Stage[Any] | None]:
    """The stages of data rounds by name; None where several of a name have items of their own."""
    found: dict[str, Stage[Any] | None] = {}
    for stage in all_stages():
        other = found.setdefault(stage.name, stage)
        if other is None or other.items != stage.items:
            found[stage.name] = None
    return found


def _tokens(entry: Entry) -> int:
    return int(sum(entry.usage.get(f"{kind}_tokens", 0) for kind in ("prompt", "completion")))


def _claims(dataset: Dataset, files: Mapping[str, Any]) -> Iterator[tuple[_Place, dict[str, Any]]]:
    for path in files:
        if path.endswith(SETTINGS):
            name = path.rpartition("/")[2].removesuffix(SETTINGS)
            place = _Place(iteration_of(path), *named(name))
            yield place, lineage.claimed(dataset.fs.cat_file(path), path)


def _pending(
    run: str,
    place: _Place,
    stage: Stage[Any],
    claim: Mapping[str, Any],
    entries: Mapping[str, Entry],
) -> int | None:
    """Items that the stage's SQL gives under its claim and no entry settles.

    Nobody has written down which split a job was for: where items are settled that its SQL does not
    give, it was another than `train`.
    """
    dataset = Dataset(run, place.iteration)
    inputs = {
        each.name: claim.get(f"{lineage.INPUT}{each.name}")
        or variants.made_by(dataset, each.name, place.variant)
        for each in stage.upstream()
    }
    inputs[stage.name] = place.variant
    part = Part(stage, _ClaimedSettings(claim=claim), place.variant, inputs, None)
    settled = [entry for entry in entries.values() if not entry.retry]
    try:
        with items(part, dataset, "key") as connection:
            connection.register("done", keys_of(settled))
            query = (
                "select (select count(*) from wanted anti join done using (key)), "
                "(select count(*) from done anti join wanted using (key))"
            )
            [(pending, others)] = connection.sql(query).fetchall()
    except duckdb.Error:
        return None
    return None if others else int(pending)


def _written(info: Mapping[str, Any]) -> datetime:
    """When a file was written, as its file system says."""
    said = next(info[name] for name in ("mtime", "LastModified", "created") if name in info)
    if isinstance(said, datetime):
        return said if said.tzinfo else said.replace(tzinfo=UTC)
    return datetime.fromtimestamp(said, UTC)
