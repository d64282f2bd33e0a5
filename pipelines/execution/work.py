"""Work files: a bucket's pending items, written by the driver, read by workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.execution.removal import remove_folder
from schemas import manifest
from spar_core.dataset import Dataset
from spar_core.stage import Item

BUCKET = "_bucket"
"""The column that names an item's bucket."""

_FOLDER = "_work"


@dataclass(frozen=True, slots=True)
class Work:
    """A work file: where it lies, and the bucket whose items it holds."""

    path: str
    bucket: str


def write(
    dataset: Dataset, stage: str, variant: str, plan: str, items: pa.RecordBatchReader
) -> list[Work]:
    """Write items, which come in the order of their buckets, to a file a bucket.

    Args:
        plan: names the folder of these files: no other plan's work files are touched.
    """
    folder = f"{_folder(dataset, stage, variant)}/{plan}"
    dataset.fs.makedirs(folder, exist_ok=True)
    works: list[Work] = []
    writer: pq.ParquetWriter | None = None
    try:
        for batch in items:
            for number, some in _by_bucket(batch):
                bucket = bucket_name(number)
                if not works or works[-1].bucket != bucket:
                    if writer:
                        writer.close()
                    path = f"{folder}/{bucket}.parquet"
                    works.append(Work(str(dataset.fs.unstrip_protocol(path)), bucket))
                    file = dataset.fs.open(path, "wb")
                    writer = pq.ParquetWriter(file, some.schema, compression="zstd")
                if writer:
                    writer.write_batch(some)
    finally:
        if writer:
            writer.close()
    return works


def bucket_name(number: int) -> str:
    return f"b{number:04d}"


def _by_bucket(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    column = batch.schema.get_field_index(BUCKET)
    numbers = batch.column(column)
    plain = batch.remove_column(column)
    start = 0
    while start < len(batch):
        number = numbers[start].as_py()
        length = pc.sum(pc.equal(numbers, number)).as_py()
        yield number, plain.slice(start, length)
        start += length


def read(work: Work) -> Iterator[Item]:
    """The items of a work file."""
    with fsspec.open(work.path, "rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
            rows: list[dict[str, Any]] = batch.to_pylist()
            yield from rows


def clear(dataset: Dataset, stage: str, variant: str, plan: str = "") -> None:
    """Remove a plan's work files, or those of all plans of a stage."""
    folder = _folder(dataset, stage, variant) + (f"/{plan}" if plan else "")
    dataset.check_inside(folder)
    remove_folder(dataset.fs, folder)


def _folder(dataset: Dataset, stage: str, variant: str) -> str:
    name = manifest.folder(stage, variant)
    return f"{dataset.root}/{_FOLDER}/iteration={dataset.iteration}/{name}"
