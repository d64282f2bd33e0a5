"""The DoFn of all stages: items of work files in a sliding window over the engines, then commits.

Nothing is shuffled between inference and commit, so what is paid for is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from pipelines.execution import metrics, work
from pipelines.execution.journal import open_journal
from pipelines.execution.plan import Part
from pipelines.execution.session import Session
from pipelines.execution.work import Work
from schemas.failures import PAYLOAD_CHARS, Failure
from spar_core.dataset import Dataset, Settled
from spar_core.engine.engines import Lease
from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.protocol import Engine, EngineGone, ItemError
from spar_core.engine.spec import EngineSpec
from spar_core.stage import Context, Item
from spar_core.window import Window

INTERRUPTED = "interrupted"

COMMIT_S = 30.0
"""Results of a work file that is not done leave so often."""

IN_FLIGHT = 4
"""Items in progress for each slot of the engines. Measured: so they stay full, where an item asks
one thing after another (docs/performance.md)."""

_WITHOUT_ENGINE = 1024
"""Items in progress of a stage that asks nothing."""


class RunStopped(Exception):
    """The run cannot go on now; started again with the same command it does."""


@dataclass(slots=True)
class _Batch:
    """A work file in progress: items not yet finished, and results not yet committed."""

    bucket: str
    unfinished: int = 0
    is_read: bool = False
    settled: list[Settled] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Inference(beam.DoFn):
    """Does the items of work files, and commits their rows.

    A bundle's work files share one window: the next one's items fill the gaps that the last
    one's leave. Results leave at once where their file is done, else every COMMIT_S. Items that
    are committed already, by an earlier try of the bundle say, are passed over.

    Args:
        specs: the engines of the stage, by role.
    """

    def __init__(
        self, part: Part, dataset: Dataset, specs: Mapping[str, EngineSpec], session: Session
    ) -> None:
        self._part = part
        self._dataset = dataset
        self._specs = dict(specs)
        self._session = session

    def setup(self) -> None:
        engines = self._session.engines
        self._meter = engines.meter
        self._lease: Lease | None = None
        self._journal: Journal | None = None
        try:
            self._lease = engines.using(self._specs)
        except EngineGone as gone:
            raise RunStopped(str(gone)) from None
        slots = sum(spec.slots for spec in {*self._specs.values()})
        self._window: Window[tuple[_Batch, Settled]] = Window(
            engines.loop, IN_FLIGHT * slots or _WITHOUT_ENGINE
        )
        if self._specs and self._dataset.is_local:
            try:
                self._journal = open_journal(self._dataset, self._part)
            except OSError as error:
                raise self._cannot_write(error) from None

    def teardown(self) -> None:
        if hasattr(self, "_window"):
            self._window.cancel()
        if self._journal:
            self._journal.close()
        if self._lease:
            self._lease.release()

    def start_bundle(self) -> None:
        self._batches: list[_Batch] = []

    def process(self, element: Work) -> None:
        batch = _Batch(element.bucket)
        self._batches.append(batch)
        for item in self._items(element):
            while self._window.is_full:
                self._settle_next()
            batch.unfinished += 1
            self._window.submit(self._do(batch, item))
        batch.is_read = True

    def finish_bundle(self) -> None:
        while len(self._window):
            self._settle_next()
        self._commit(everything=True)

    def _items(self, element: Work) -> Iterator[Item]:
        part = self._part
        done = self._dataset.settled(part.stage.name, part.variant, element.bucket)
        return (item for item in work.read(element) if item["key"] not in done)

    def _settle_next(self) -> None:
        """Wait for an item, and commit what is ripe."""
        try:
            if self._session.is_pressed:
                raise KeyboardInterrupt
            finished = self._window.next(timeout_s=1.0)
        except (EngineGone, KeyboardInterrupt) as stopped:
            self._window.cancel()
            self._commit(everything=True)
            reason = str(stopped) if isinstance(stopped, EngineGone) else INTERRUPTED
            raise RunStopped(reason) from None
        except OSError as error:
            raise self._cannot_write(error) from None
        if finished:
            batch, settled = finished
            batch.unfinished -= 1
            batch.settled.append(settled)
            self._meter.items += 1
        self._commit()

    def _commit(self, everything: bool = False) -> None:
        now = time.monotonic()
        last = self._batches[-1] if self._batches else None
        for batch in self._batches:
            is_done = batch.is_read and not batch.unfinished
            is_ripe = now - batch.since >= COMMIT_S
            # What was spent on items that are given up is written down with the last of all.
            if (batch.settled and (everything or is_done or is_ripe)) or (
                everything and batch is last
            ):
                self._commit_batch(batch)
                batch.settled, batch.since = [], now
        self._batches = [b for b in self._batches if b.unfinished or not b.is_read]

    def _commit_batch(self, batch: _Batch) -> None:
        part, usage = self._part, self._meter.take()
        try:
            self._dataset.commit(
                part.stage.name,
                batch.bucket,
                batch.settled,
                metrics.account(usage),
                part.variant,
            )
            if self._journal:
                self._journal.forget(item.key for item in batch.settled if not item.retry)
        except OSError as error:
            self._meter.restore(usage)
            raise self._cannot_write(error) from None
        metrics.report(part.stage.name, batch.settled, usage)

    def _cannot_write(self, error: OSError) -> RunStopped:
        if hasattr(self, "_window"):
            self._window.cancel()
        where = self._dataset.run
        return RunStopped(f"cannot write to {where}: {error}; what was committed before is safe")

    def _engines(self, key: str) -> dict[str, Engine]:
        """The engines by role, as one item sees them."""
        engines = dict(self._lease.engines) if self._lease else {}
        if not self._journal:
            return engines
        return {
            role: JournaledEngine(engine, self._journal, key, self._meter)
            for role, engine in engines.items()
        }

    async def _do(self, batch: _Batch, item: Item) -> tuple[_Batch, Settled]:
        part, key = self._part, item["key"]
        context: Context[Any] = Context(
            self._engines(key), part.settings, self._dataset.iteration, part.variant
        )
        try:
            rows = await part.stage.task(context, item)
        except ItemError as error:
            return batch, self._failed(item, error.cause, str(error), error.attempts, error.retry)
        except (EngineGone, OSError):
            raise
        except Exception as error:
            # A defect of ours that this item brought out: it must cost this item alone.
            logging.getLogger(__name__).warning("%s: %s", part.stage.name, key, exc_info=True)
            message = f"{type(error).__name__}: {error}"
            return batch, self._failed(item, "internal", message, 1, True)
        return batch, Settled(key, rows)

    def _failed(self, item: Item, cause: str, message: str, attempts: int, retry: bool) -> Settled:
        payload = str(item.get("prompt", ""))[:PAYLOAD_CHARS]
        row = Failure(self._part.stage.name, item["key"], cause, message, attempts, payload)
        return Settled(item["key"], {"failures": [row]}, retry)
