"""What all stages share: pending work -> inference -> commit, as a Beam pipeline.

The driver asks DuckDB which items are pending and writes them to work files; the pipeline's
elements are the names of these files. A worker takes items from them into a sliding window over
the engine and commits what comes out, so nothing is shuffled between inference and commit.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.execution import interrupt, metrics
from pipelines.execution.options import Settings
from schemas.failures import PAYLOAD_CHARS, Failure
from schemas.views import connect
from spar_core.dataset import Dataset, Rows, Settled
from spar_core.engine import host as engine_host
from spar_core.engine.host import METER, EngineSpec, Host
from spar_core.engine.journal import Journal, JournaledEngine
from spar_core.engine.protocol import Engine, EngineGone, ItemError
from spar_core.window import Window

Item = dict[str, Any]
Task = Callable[[Engine, Item, Settings, int], Coroutine[Any, Any, Rows]]
"""Does one item of an iteration: (engine, item, settings, iteration) -> rows of tables."""

INTERRUPTED = "interrupted"

_WORK = "_work"
_PLAN_MEMORY = "1GB"


class RunStopped(Exception):
    """The run cannot go on now; started again with the same command it does."""


@dataclass(frozen=True)
class Stage:
    """A stage of the round.

    items: SQL over the views of the run that gives the stage's items, `key` first; `$iteration`,
        `$seed` and `$judge_once` are bound, and the view `scope` holds the prompts to do.
    engine: which engine it uses; None for a stage that needs none.
    replaces: whether items that `items` no longer gives are taken back (a selection that depends
        on all of the run).
    """

    name: str
    noun: str
    items: str
    task: Task
    engine: Callable[[Settings], EngineSpec] | None = None
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: `works` are the work files."""

    total: int
    pending: int
    works: list[str]


def plan(stage: Stage, dataset: Dataset, scope: Sequence[str] | None, settings: Settings) -> Plan:
    """Find the items that are not done and write them to work files.

    Args:
        scope: ids of the prompts to do; None for all of the iteration.
    """
    clear_work(dataset, stage.name)
    dataset.retract([path for path, entry in dataset.entries(stage.name).items() if entry.retry])
    with connect(dataset.run) as connection, tempfile.TemporaryDirectory() as spill:
        # However many items there are: what does not fit in memory goes to disk.
        connection.execute(f"set memory_limit = '{_PLAN_MEMORY}'")
        connection.execute(f"set temp_directory = '{spill}'")
        bound = {
            "iteration": dataset.iteration,
            "seed": settings.seed,
            "judge_once": settings.search.judge_once,
        }
        bound = {name: value for name, value in bound.items() if f"${name}" in stage.items}
        _create_scope(connection, scope, dataset.iteration)
        connection.execute(f"create temp table items as {stage.items}", bound)
        entries = dataset.entries(stage.name)
        if stage.replaces:
            _replace(dataset, connection, entries)
            entries = dataset.entries(stage.name)
        keys = pa.table({"key": [k for e in entries.values() for k in e.keys]}, _KEYS)
        connection.register("done", keys)
        total = _count(connection, "select count(*) from items")
        pending = _count(connection, f"select count(*) {_PENDING}")
        size = max(64, min(1024, pending // 64))
        reader = connection.sql(f"select * {_PENDING} order by key").to_arrow_reader(size)
        works = [_write_work(dataset, stage.name, batch) for batch in reader if len(batch)]
    return Plan(total, pending, works)


def _create_scope(connection: Any, scope: Sequence[str] | None, iteration: int) -> None:
    query = "create temp table scope as select prompt_id from prompts where iteration = ?"
    connection.execute(query, [iteration])
    if scope is not None:
        connection.register("chosen", pa.table({"key": list(scope)}, _KEYS))
        connection.execute("delete from scope where prompt_id not in (select key from chosen)")


_KEYS = pa.schema([("key", pa.string())])
_PENDING = "from items anti join done using (key)"


def _replace(dataset: Dataset, connection: Any, entries: dict[str, Any]) -> None:
    stale = []
    for path, entry in entries.items():
        connection.register("held", pa.table({"key": list(entry.keys)}, _KEYS))
        if _count(connection, "select count(*) from held anti join items using (key)"):
            stale.append(path)
        connection.unregister("held")
    dataset.retract(stale)


def _count(connection: Any, query: str) -> int:
    return int(connection.sql(query).fetchall()[0][0])


def clear_work(dataset: Dataset, stage: str) -> None:
    """Remove the stage's work files."""
    folder = _work_folder(dataset, stage)
    if dataset.fs.isdir(folder):
        dataset.fs.rm(folder, recursive=True)


def journal_path(dataset: Dataset, stage: str) -> Path:
    """Where a stage's journal lies; only runs on a local disk have one."""
    return Path(dataset.root) / "_journal" / f"iteration={dataset.iteration}" / f"{stage}.sqlite"


def clear_journal(dataset: Dataset, stage: str) -> None:
    """Remove the stage's journal: all that it paid for is committed."""
    for path in journal_path(dataset, stage).parent.glob(f"{stage}.sqlite*"):
        path.unlink()


def _work_folder(dataset: Dataset, stage: str) -> str:
    return f"{dataset.root}/{_WORK}/iteration={dataset.iteration}/{stage}"


def _write_work(dataset: Dataset, stage: str, batch: pa.RecordBatch) -> str:
    first, last = batch.column(0)[0].as_py(), batch.column(0)[-1].as_py()
    work = hashlib.sha256(f"{first} {last} {len(batch)}".encode()).hexdigest()[:12]
    folder = _work_folder(dataset, stage)
    dataset.fs.makedirs(folder, exist_ok=True)
    path = f"{folder}/{work}.parquet"
    with dataset.fs.open(path, "wb") as file:
        pq.write_table(pa.Table.from_batches([batch]), file, compression="zstd")
    return str(dataset.fs.unstrip_protocol(path))


def run(
    stage: Stage, works: list[str], dataset: Dataset, settings: Settings, options: PipelineOptions
) -> Any:
    """Run a stage's pipeline over its work files and wait for it.

    Raises:
        RunStopped: the engine is gone, or the results cannot be written.
    """
    try:
        with _QuietBeam(), beam.Pipeline(options=options) as pipeline:
            (
                pipeline
                | "Works" >> beam.Create(works)
                | "Spread" >> beam.Reshuffle()
                | stage.name >> beam.ParDo(Inference(stage, dataset, settings))
            )
        return pipeline.result
    except Exception as error:
        reason = INTERRUPTED if "KeyboardInterrupt" in str(error) else _reason(error)
        if reason is None:
            raise
        raise RunStopped(reason) from None


def _reason(error: BaseException) -> str | None:
    """Why a worker stopped the run: Beam hands its exceptions on as text."""
    marker = f"{RunStopped.__name__}: "
    text = str(error)
    if isinstance(error, RunStopped):
        return text.partition(" [while running")[0]
    if marker not in text:
        return None
    return text.rpartition(marker)[2].partition(" [while running")[0].partition("\n\n")[0].strip()


class _QuietBeam:
    """Beam's own log kept from users while a pipeline runs, unless they turned it up."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("apache_beam")
        self._level = self._logger.level
        if logging.getLogger().level > logging.INFO:
            self._logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)


@dataclass(slots=True)
class _Batch:
    """A work file in progress: items not yet finished, and results not yet committed."""

    work: str
    unfinished: int = 0
    is_read: bool = False
    settled: list[Settled] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Inference(beam.DoFn):
    """Keeps `settings.in_flight` items of the work files in progress, and commits their rows.

    A bundle's work files share one window: the next one's items fill the gaps that the last
    one's leave. Results leave at once where their file is done, else every `shard_seconds`.
    """

    def __init__(self, stage: Stage, dataset: Dataset, settings: Settings) -> None:
        self._stage = stage
        self._dataset = dataset
        self._settings = settings

    def setup(self) -> None:
        self._own_host: Host | None = None
        self._journal: Journal | None = None
        if self._stage.engine is None:
            self._host = self._own_host = Host(_NO_ENGINE)
        else:
            try:
                # Every process brings its engine up once; DoFn instances share it.
                self._host = engine_host.host_for(self._stage.engine(self._settings))
            except EngineGone as gone:
                raise RunStopped(str(gone)) from None
        self._window: Window[tuple[_Batch, Settled]] = Window(
            self._host.loop, self._settings.in_flight
        )
        if self._stage.engine and self._dataset.is_local:
            try:
                self._journal = Journal(journal_path(self._dataset, self._stage.name))
            except OSError as error:
                raise self._cannot_write(error) from None

    def teardown(self) -> None:
        if hasattr(self, "_window"):
            self._window.cancel()
        if self._journal:
            self._journal.close()
        if self._own_host:
            self._own_host.close()

    def start_bundle(self) -> None:
        self._batches: list[_Batch] = []

    def process(self, work: str) -> None:
        batch = _Batch(work.rpartition("/")[2].removesuffix(".parquet"))
        self._batches.append(batch)
        for item in _read_work(work):
            while self._window.is_full:
                self._settle_next()
            batch.unfinished += 1
            self._window.submit(self._do(batch, item))
        batch.is_read = True

    def finish_bundle(self) -> None:
        while len(self._window):
            self._settle_next()
        self._commit(everything=True)

    def _settle_next(self) -> None:
        """Wait for an item, and commit what is ripe."""
        try:
            if interrupt.is_pressed():
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
            METER.items += 1
        self._commit()

    def _commit(self, everything: bool = False) -> None:
        now = time.monotonic()
        for batch in self._batches:
            is_done = batch.is_read and not batch.unfinished
            is_ripe = now - batch.since >= self._settings.shard_seconds
            if batch.settled and (everything or is_done or is_ripe):
                self._commit_batch(batch)
                batch.settled, batch.since = [], now
        self._batches = [b for b in self._batches if b.unfinished or not b.is_read]

    def _commit_batch(self, batch: _Batch) -> None:
        usage = METER.take()
        try:
            self._dataset.commit(
                self._stage.name, batch.work, batch.settled, metrics.account(usage)
            )
            if self._journal:
                self._journal.forget(item.key for item in batch.settled if not item.retry)
        except OSError as error:
            raise self._cannot_write(error) from None
        metrics.report(self._stage.name, batch.settled, usage)

    def _cannot_write(self, error: OSError) -> RunStopped:
        self._window.cancel()
        where = self._dataset.run
        return RunStopped(f"cannot write to {where}: {error}; what was committed before is safe")

    async def _do(self, batch: _Batch, item: Item) -> tuple[_Batch, Settled]:
        key = item["key"]
        engine: Engine = self._host.engine
        if self._journal:
            engine = JournaledEngine(engine, self._journal, key, METER)
        try:
            rows = await self._stage.task(engine, item, self._settings, self._dataset.iteration)
        except ItemError as error:
            return batch, self._failed(item, error.cause, str(error), error.attempts, error.retry)
        except (EngineGone, OSError):
            raise
        except Exception as error:
            # A defect of ours that this item brought out: it must cost this item alone.
            logging.getLogger(__name__).warning("%s: %s", self._stage.name, key, exc_info=True)
            message = f"{type(error).__name__}: {error}"
            return batch, self._failed(item, "internal", message, 1, True)
        return batch, Settled(key, rows)

    def _failed(self, item: Item, cause: str, message: str, attempts: int, retry: bool) -> Settled:
        payload = str(item.get("prompt", ""))[:PAYLOAD_CHARS]
        row = Failure(self._stage.name, item["key"], cause, message, attempts, payload)
        return Settled(item["key"], {"failures": [row]}, retry)


_NO_ENGINE = EngineSpec("scripted", f"{__name__}:NoEngine")


class NoEngine:
    """Stands in where a stage asks nothing."""

    name = ""

    def __init__(self, _: object) -> None:
        pass

    async def chat(self, request: Any) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


def _read_work(path: str) -> Iterator[Item]:
    with fsspec.open(path, "rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
            yield from batch.to_pylist()
