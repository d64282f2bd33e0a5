"""Rows of a Parquet file that others made, a few at a time and none larger than a limit.

A file of some hundred bytes can stand for gigabytes: a long text that is stored once and repeated
by a number, or bytes that shrink a thousandfold. Therefore
- what the file says of the sizes of its columns is looked at first, and a file whose columns would
  grow beyond measure is refused;
- texts that are stored once stay so while they are read (Arrow's dictionaries), and the size of a
  row is counted before its values are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from terminal.exits import InputError

ROW_BYTES = 16 << 20
"""A larger row is not read."""

BATCH_ROWS = 64
"""Rows that are in memory at once."""

_GROWTH = 1000
_GROWN_BYTES = 64 << 20
"""A column of texts that takes more than this in a row group, and so many times more than in the
file, is refused: compressed text is at most some fifty times smaller."""

_VALUES = 1 << 24
"""Values of a column that a row group may have for each of its rows, at most."""


@dataclass(frozen=True, slots=True)
class LargeRow:
    """A row over the limit: how many bytes its values take."""

    size: int

    def __str__(self) -> str:
        return (
            f"the row holds {self.size / 1e6:,.1f} MB, and at most {ROW_BYTES / 1e6:,.1f} MB are "
            "read: shorten its texts, or leave large columns out of the file"
        )


class BadParquet(InputError, ValueError):
    """A Parquet file, or a row of one, that stands for more than is read."""


class ParquetRows:
    """The rows of a Parquet file.

    Args:
        file: opened for reading, and able to seek.
        path: of the file, for messages.
    """

    def __init__(self, file: IO[bytes], path: str) -> None:
        self._file, self._path = file, path
        self._parquet = pq.ParquetFile(file)

    @property
    def schema(self) -> pa.Schema:
        return self._parquet.schema_arrow

    def read(self, columns: Sequence[str]) -> Iterator[dict[str, pa.Scalar] | LargeRow]:
        """Read some columns of all rows, in their order.

        Raises:
            BadParquet: the file stands for far more than it holds.
        """
        self._check(columns)
        once = [
            path
            for path in self._leaves(columns)
            if all(_is_dictionary(each) for each in self._chunks(path))
        ]
        parquet = pq.ParquetFile(self._file, metadata=self._parquet.metadata, read_dictionary=once)
        # Texts of lists that are stored once cannot be joined across row groups.
        for group in range(parquet.num_row_groups):
            batches = parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns))
            for batch in batches:
                sizes = [_sizes(column) for column in batch.columns]
                for number, size in enumerate(map(sum, zip(*sizes, strict=True))):
                    if size > ROW_BYTES:
                        yield LargeRow(size)
                    else:
                        values = (column[number] for column in batch.columns)
                        yield dict(zip(batch.schema.names, values, strict=True))

    def values(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Read some columns of all rows as plain values.

        Raises:
            BadParquet: the file stands for far more than it holds, or a row is over the limit.
        """
        for number, row in enumerate(self.read(columns), 1):
            if isinstance(row, LargeRow):
                raise BadParquet(f"{self._path}:{number}: {row}")
            yield {name: value.as_py() for name, value in row.items()}

    def _leaves(self, columns: Sequence[str]) -> list[str]:
        """The paths of the columns in the file that hold the values of some columns."""
        schema = self._parquet.schema
        paths = [schema.column(number).path for number in range(len(schema))]
        return [path for path in paths if path.partition(".")[0] in {*columns} or path in columns]

    def _chunks(self, path: str) -> Iterator[pq.ColumnChunkMetaData]:
        metadata = self._parquet.metadata
        schema = self._parquet.schema
        number = next(n for n in range(len(schema)) if schema.column(n).path == path)
        for group in range(metadata.num_row_groups):
            yield metadata.row_group(group).column(number)

    def _check(self, columns: Sequence[str]) -> None:
        rows = [
            self._parquet.metadata.row_group(group).num_rows
            for group in range(self._parquet.metadata.num_row_groups)
        ]
        for path in self._leaves(columns):
            for count, chunk in zip(rows, self._chunks(path), strict=True):
                grown, held = chunk.total_uncompressed_size, max(1, chunk.total_compressed_size)
                is_text = chunk.physical_type == "BYTE_ARRAY"
                if is_text and grown > _GROWN_BYTES and grown > _GROWTH * held:
                    raise BadParquet(
                        f"{self._path}: the column {path} would take {grown / 1e6:,.0f} MB out of "
                        f"{held / 1e6:,.3f} MB in the file, as no text does: leave the column out"
                    )
                if chunk.num_values > _VALUES and chunk.num_values > count * 1024:
                    raise BadParquet(
                        f"{self._path}: the column {path} has {chunk.num_values:,} values in "
                        f"{count:,} rows: leave the column out"
                    )


def _is_dictionary(chunk: pq.ColumnChunkMetaData) -> bool:
    is_text = chunk.physical_type == "BYTE_ARRAY"
    return is_text and any("DICTIONARY" in encoding for encoding in chunk.encodings)


def _sizes(array: pa.Array) -> list[int]:
    """Return how many bytes the values of each row take, without making them."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.fill_null(pc.binary_length(array.dictionary), 0)
        return [each or 0 for each in lengths.take(array.indices).to_pylist()]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [each or 0 for each in pc.binary_length(array).to_pylist()]
    if pa.types.is_struct(kind):
        parts = [_sizes(array.field(number)) for number in range(kind.num_fields)]
        return [sum(each) for each in zip(*parts, strict=True)] or [0] * len(array)
    if pa.types.is_map(kind):
        return _of_lists(array, [_sizes(array.keys), _sizes(array.items)])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _of_lists(array, [_sizes(array.values)])
    return [array.nbytes // max(1, len(array))] * len(array)


def _of_lists(array: pa.Array, parts: Sequence[Sequence[int]]) -> list[int]:
    """Return the sizes of lists, given those of all their elements."""
    ends: list[int] = array.offsets.to_pylist()
    return [sum(sum(part[start:end]) for part in parts) for start, end in pairwise(ends)]
