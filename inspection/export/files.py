"""Writing rows to a folder that appears whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.json_text import finite

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1000
"""Rows held at a time, and in a Parquet row group."""

SHARD_BYTES = 256 << 20
"""A Parquet file is ended once it is this large."""

_BREAKS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\\u007f"}
"""Characters that JSON may hold as they are but that some readers take for the end of a line."""


@contextmanager
def new_folder(output: str) -> Iterator[Path]:
    """A folder beside `output` to write in, renamed to it at the end; gone if anything fails.

    What killed exports to the same output have left beside it is removed first.

    Raises:
        FileExistsError: there is something at `output`.
    """
    target = Path(os.path.realpath(output))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{output} is there already: give another --output, or remove it")
    beside = target.with_name(f".{target.name}.partial-{secrets.token_hex(4)}")
    missing = [folder for folder in target.parents if not folder.exists()]
    _sweep(target)
    try:
        beside.mkdir(parents=True)
        with _locked(beside):
            yield beside
            beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def _sweep(target: Path) -> None:
    """Remove folders in which nobody writes an export to `target` any more."""
    name = re.compile(rf"{re.escape(f'.{target.name}.partial-')}[0-9a-f]{{8}}")
    if not target.parent.is_dir():
        return
    for folder in target.parent.iterdir():
        if name.fullmatch(folder.name):
            with suppress(OSError), _locked(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with the process.

    Raises:
        OSError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def write_parquet(reader: pa.RecordBatchReader, schema: pa.Schema, folder: Path) -> int:
    """Write rows as `train-<n>-of-<m>.parquet`; returns how many there were."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    shards: list[Path] = []
    rows = 0
    batches = (batch.cast(schema) for batch in reader if batch.num_rows)
    batch = next(batches, None)
    while batch is not None or not shards:
        shards.append(folder / f"{len(shards)}")
        with (
            open(shards[-1], "wb") as file,
            # Chunks that follow the content: the Hub then uploads only what has changed.
            pq.ParquetWriter(
                file,
                schema,
                compression="zstd",
                write_page_index=True,
                use_content_defined_chunking=True,
            ) as writer,
        ):
            while batch is not None and file.tell() < SHARD_BYTES:
                writer.write_batch(batch)
                rows += batch.num_rows
                batch = next(batches, None)
    for number, shard in enumerate(shards):
        shard.rename(folder / f"train-{number:05d}-of-{len(shards):05d}.parquet")
    return rows


def write_jsonl(reader: pa.RecordBatchReader, path: Path) -> None:
    """Write the JSON texts of a reader's only column, a line each."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        for batch in reader:
            for text in batch.column(0).to_pylist():
                file.write(_one_line(finite(text)) + "\n")


def _one_line(text: str) -> str:
    for character, spelt in _BREAKS.items():
        text = text.replace(character, spelt)
    return text
