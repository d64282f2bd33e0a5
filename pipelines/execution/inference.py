"""The DoFn of all stages: items of work files in a sliding window over the engines, then commits.

Nothing is shuffled between inference and commit, so what is paid for is kept.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam as beam

from pipelines.execution import metrics, stop, work
from pipelines.execution.following import Following, PromptRows
from pipelines.execution.journal import open_journal
from pipelines.execution.plan import Part
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.execution.work import Work
from spar_core.dataset import Dataset, Settled
from spar_core.decoding.tasks import all_of
from spar_core.engine import request_body
from spar_core.engine.engines import Lease
from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.meter import purpose
from spar_core.engine.protocol import Engine, EngineAway, EngineGone
from spar_core.engine.spec import EngineSpec
from spar_core.stage import Context, Item
from spar_core.stage_task import failed, settle
from spar_core.window import Window
from terminal.log import warn

COMMIT_S = 30.0
"""Results of a work file that is not done leave so often."""

IN_FLIGHT = 4
"""Items in progress for each slot of the engines. Measured: so they stay full, where an item asks
one thing after another (docs/performance.md)."""

_WITHOUT_ENGINE = 1024
"""Items in progress of a stage that asks nothing."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What an item of a stage gave, the number of that stage, and the bucket it goes to."""

    number: int
    bucket: str
    settled: Settled


@dataclass(slots=True)
class _Batch:
    """A work file in progress: items not yet finished, and results not yet committed.

    made: in the order in which they came, so that what follows from another comes after it.
    """

    bucket: str
    unfinished: int = 0
    is_read: bool = False
    made: deque[_Made] = field(default_factory=deque)
    since: float = field(default_factory=time.monotonic)

    def taken(self) -> list[_Made]:
        """What was made until now; more may come meanwhile."""
        return [self.made.popleft() for _ in range(len(self.made))]


class Inference(beam.DoFn):
    """Does the items of work files, and commits their rows.

    A bundle's work files share one window: the next one's items fill the gaps that the last
    one's leave. Bundles of a process at the same time share its engines' room, so that together
    they begin no more than one would, and the last has it all. Results leave at once where their
    file is done, else every COMMIT_S. Items that are committed already, by an earlier try of the
    bundle say, are passed over.

    Args:
        parts: one stage, whose items the work files hold; or several, through all of which each
            of their prompts is taken.
        specs: the engines of the stages, by role.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        dataset: Dataset,
        specs: Mapping[str, EngineSpec],
        session: Session,
    ) -> None:
        self._parts = tuple(parts)
        self._dataset = dataset
        self._specs = dict(specs)
        self._session = session

    def setup(self) -> None:
        self._lease: Lease | None = None
        self._journals: list[Journal] = []
        self._following: Following | None = None
        if why := stop.told(self._dataset, self._session.name):
            raise RunStopped(why)
        try:
            engines = self._session.engines
            self._meter = engines.meter
            self._lease = engines.using(self._specs)
        except EngineGone as gone:
            if not isinstance(gone, EngineAway):
                stop.tell(self._dataset, self._session.name, str(gone))
            raise RunStopped(str(gone)) from None
        self._window: Window[_Batch] = Window(engines.loop, self._room())
        if len(self._parts) > 1:
            self._following = Following(self._parts)
        if self._specs and self._dataset.is_local:
            try:
                self._journals = [open_journal(self._dataset, part) for part in self._parts]
            except OSError as error:
                raise self._cannot_write(error) from None

    def teardown(self) -> None:
        self._session.busy.discard(self)
        if hasattr(self, "_window"):
            self._window.cancel()
        for journal in self._journals:
            journal.close()
        if self._following:
            self._following.close()
        if self._lease:
            self._lease.release()

    def start_bundle(self) -> None:
        self._batches: list[_Batch] = []
        self._session.busy.add(self)

    def process(self, element: Work) -> None:
        batch = _Batch(element.bucket)
        self._batches.append(batch)
        for doing in self._items(batch, element):
            self._window.size = self._room()
            while self._window.is_full:
                self._settle_next()
                self._window.size = self._room()
            batch.unfinished += 1
            self._window.submit(doing())
        batch.is_read = True

    def finish_bundle(self) -> None:
        try:
            while len(self._window):
                self._settle_next()
            self._commit(everything=True)
        finally:
            self._session.busy.discard(self)

    def _items(
        self, batch: _Batch, element: Work
    ) -> Iterator[Callable[[], Coroutine[Any, Any, _Batch]]]:
        """What is to be done for each item of a work file."""
        if self._following:
            held: dict[tuple[int, str], set[str]] = {}
            for item in work.read(element):
                prompt = PromptRows.of(item)
                yield partial(self._take_through, self._following, batch, prompt, held)
            return
        [part] = self._parts
        done = self._dataset.settled(part.stage.name, part.variant, element.bucket)
        for item in work.read(element):
            if item["key"] not in done:
                yield partial(self._settle, batch, item)

    def _room(self) -> int:
        """Items in progress at most; servers and other bundles may join while the stage goes on."""
        if not self._lease or not self._lease.slots:
            return _WITHOUT_ENGINE
        return max(1, IN_FLIGHT * self._lease.slots // max(1, len(self._session.busy)))

    def _settle_next(self) -> None:
        """Wait for an item, and commit what is ripe."""
        try:
            if self._session.is_pressed:
                raise KeyboardInterrupt
            batch = self._window.next(timeout_s=1.0)
        except (EngineGone, KeyboardInterrupt) as stopped:
            self._window.cancel()
            self._commit(everything=True)
            reason = str(stopped) if isinstance(stopped, EngineGone) else INTERRUPTED
            raise RunStopped(reason) from None
        except OSError as error:
            raise self._cannot_write(error) from None
        if batch:
            batch.unfinished -= 1
            self._meter.items += 1
        self._commit()

    def _commit(self, everything: bool = False) -> None:
        now = time.monotonic()
        last = self._batches[-1] if self._batches else None
        for batch in self._batches:
            is_done = batch.is_read and not batch.unfinished
            is_ripe = now - batch.since >= COMMIT_S
            # What was spent on items that are given up is written down with the last of all.
            is_last = everything and batch is last
            if (batch.made and (everything or is_done or is_ripe)) or is_last:
                self._commit_batch(batch, is_last)
                batch.since = now
        self._batches = [b for b in self._batches if b.unfinished or not b.is_read]

    def _commit_batch(self, batch: _Batch, is_last: bool) -> None:
        """Commit what was made, stage by stage: what follows from another never without it."""
        buckets: list[dict[str, list[Settled]]] = [{} for _ in self._parts]
        for made in batch.taken():
            buckets[made.number].setdefault(made.bucket, []).append(made.settled)
        for number, (part, found) in enumerate(zip(self._parts, buckets, strict=True)):
            if is_last and not found:
                found[batch.bucket] = []
            for bucket, settled in found.items():
                self._commit_bucket(part, number, bucket, settled)

    def _commit_bucket(
        self, part: Part, number: int, bucket: str, settled: Sequence[Settled]
    ) -> None:
        name = part.stage.name
        usage = self._meter.take(name)
        try:
            self._dataset.commit(name, bucket, settled, metrics.account(usage), part.variant)
            if self._journals:
                self._journals[number].forget(item.key for item in settled if not item.retry)
        except OSError as error:
            self._meter.restore(usage, name)
            raise self._cannot_write(error) from None
        metrics.report(name, settled, usage)

    def _cannot_write(self, error: OSError) -> RunStopped:
        if hasattr(self, "_window"):
            self._window.cancel()
        where = self._dataset.run
        return RunStopped(f"cannot write to {where}: {error}; what was committed before is safe")

    def _engines(self, number: int, key: str) -> dict[str, Engine]:
        """The engines by role, as one item of a stage sees them."""
        engines = dict(self._lease.engines) if self._lease else {}
        if not self._journals:
            return engines
        return {
            role: JournaledEngine(
                engine,
                self._journals[number],
                key,
                self._meter,
                body=request_body.binding(self._specs[role].whole_body),
            )
            for role, engine in engines.items()
        }

    async def _settle(self, batch: _Batch, item: Item) -> _Batch:
        await self._settled(batch, 0, batch.bucket, item)
        return batch

    async def _settled(self, batch: _Batch, number: int, bucket: str, item: Item) -> Settled:
        """Do an item of the stage of a number, and put what it gave with the batch."""
        settled = await self._do(number, item)
        batch.made.append(_Made(number, bucket, settled))
        return settled

    async def _take_through(
        self,
        following: Following,
        batch: _Batch,
        prompt: PromptRows,
        held: dict[tuple[int, str], set[str]],
    ) -> _Batch:
        """Take a prompt through all stages; each has the items that follow from what is there.

        Args:
            held: keys that are committed, by stage and bucket, as far as they were looked up.
        """
        for number, bucket in enumerate(prompt.buckets):
            if (number, bucket) not in held:
                part = self._parts[number]
                place = part.stage.name, part.variant, bucket
                held[number, bucket] = await asyncio.to_thread(self._dataset.settled, *place)
            done = held[number, bucket] | prompt.done[number]
            items = await following.items(number, prompt)
            made = await all_of(
                self._settled(batch, number, bucket, each)
                for each in items
                if each["key"] not in done
            )
            for settled in made if number + 1 < len(prompt.buckets) else ():
                prompt.add(settled.rows)
        return batch

    async def _do(self, number: int, item: Item) -> Settled:
        part, key = self._parts[number], item["key"]
        purpose.set(part.stage.name)
        context: Context[Any] = Context(
            self._engines(number, key), part.settings, self._dataset.iteration, part.variant
        )
        try:
            return await settle(part.stage, context, item)
        except (EngineGone, OSError):
            raise
        except Exception as error:
            # A defect of ours that this item brought out: it must cost this item alone.
            trace = "".join(traceback.format_exception(error))
            warn(__name__, f"{part.stage.name}: {key}\n{trace}")
            message = f"{type(error).__name__}: {error}"
            return failed(part.stage, item, "internal", message, 1, True)
