"""A benchmark's files as they were published: their rows, and a file for each of its parts."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluation.benchmark import BadData


def by_part(
    paths: Sequence[Path], parts: Sequence[str], what: str, part_of: Callable[[Path], str]
) -> dict[str, Path]:
    """The files of a benchmark's parts.

    Args:
        what: such a part, as the benchmark calls it. part_of: whose file a path is.

    Raises:
        BadData: a file is no part's, or a part has two.
    """
    files: dict[str, Path] = {}
    for path in paths:
        part = part_of(path)
        if part not in parts:
            known = ", ".join(parts)
            raise BadData(f"{path}: no {what} {part}; they are {known}: take the file out")
        if part in files:
            raise BadData(f"{path}: {files[part]} is {part} too; give one of them")
        files[part] = path
    return files


def rows_of(path: Path, remedy: str) -> Iterator[tuple[int, Any]]:
    """The rows of JSON lines or Parquet with their numbers, in JSON lines those of the lines.

    Raises:
        BadData: it cannot be read, or a line is no JSON.
    """
    if path.suffix != ".parquet":
        yield from json_lines(path, remedy)
        return
    from spar_core.parquet_rows import ParquetRows  # loads Arrow

    try:
        with path.open("rb") as file:
            rows = ParquetRows(file, str(path))
            yield from enumerate(rows.values(rows.schema.names), 1)
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: cannot be read ({error}); {remedy}") from None


def json_lines(path: Path, remedy: str) -> Iterator[tuple[int, Any]]:
    """The values of a file with the numbers of their lines; empty lines are passed over.

    A file that ends in .gz is unpacked.

    Raises:
        BadData: it cannot be read, or a line is no JSON.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadData(f"{path}: cannot be read ({error}); {remedy}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadData(f"{path}: row {number}: no JSON ({error}); {remedy}") from None
            yield number, row
