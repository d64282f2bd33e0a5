"""Files of prompts or seeds: which files a path names, of which kind they are, and their bytes."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import fsspec
import pyarrow as pa
from fsspec.utils import compressions

from terminal.exits import InputError
from terminal.text import reason

STDIN = "-"
"""Names the standard input."""

KINDS = ("jsonl", "ndjson", "json", "csv", "tsv", "txt", "parquet")
"""Suffixes of the files that a folder is searched for; other files that are named are JSONL."""

_HIDDEN = (".", "_")
"""How names of files begin that readers of folders pass over, as Spark and Arrow do."""

_ARROW_CODECS = {"zst": "zstd", "lz4": "lz4"}
"""Compressions by suffix that Arrow reads.

It reads frames one after another and refuses a file that is cut off; fsspec's readers of the two
need packages of their own, and the one of zstd ends silently after a frame.
"""

_HUB = "hf://"


def find(files: str) -> list[str]:
    """Return the files that a path, folder, glob or URL names, sorted; `-` is standard input.

    Raises:
        InputError: there are none, the file system cannot be asked, or standard input is a
            terminal.
    """
    if files == STDIN:
        _check_stdin()
        return [STDIN]
    try:
        fs, path = fsspec.core.url_to_fs(files)
        is_folder = not fs.isfile(path) and fs.isdir(path)
        names = _names(fs, path, is_folder=is_folder)
    except Exception as error:  # file systems raise what their own libraries do
        remedy = "; hf:// needs the package huggingface_hub and a connection to the Hub"
        hint = remedy if files.startswith(_HUB) else ""
        raise InputError(f"cannot look for {files}: {reason(error)}{hint}") from None
    if not names and is_folder:
        kinds = ", ".join(f".{kind}" for kind in KINDS)
        within = os.path.join(files, "**")
        raise InputError(
            f"no file of prompts in the folder {files} ({kinds}, compressed or not); files of "
            f"folders in it are read by a glob: '{within}'"
        )
    if not names:
        raise InputError(f"no such file: {files}")
    return [fs.unstrip_protocol(name).removeprefix("file://") for name in names]


def kind_of(path: str) -> str:
    """Return a file's suffix in small letters, without the dot and without a compression's."""
    name = path.lower()
    if _suffix(name) in {*compressions, *_ARROW_CODECS}:
        name = os.path.splitext(name)[0]
    return _suffix(name)


@contextmanager
def opened(path: str, *, seeks: bool = False) -> Iterator[IO[bytes]]:
    """Open a file, or standard input, for reading; a compressed file decompressed.

    Args:
        seeks: whether the reader goes back and forth in the file, as Parquet's does.

    Raises:
        InputError: an archive holds several files, or none.
    """
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with fsspec.open(path, "rb") as file, _decompressed(path, file) as plain:
        if not seeks or plain is file:
            yield plain
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(plain, copy)
            copy.seek(0)
            yield copy


@contextmanager
def _decompressed(path: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    suffix = _suffix(path.lower())
    if suffix == "zip":
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise InputError(
                    f"cannot read {path}: it holds {len(names)} files, not one: unpack it and give "
                    "the folder"
                )
            with archive.open(names[0]) as member:
                yield member
    elif codec := _ARROW_CODECS.get(suffix):
        stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec)
        with io.BufferedReader(stream) as plain:
            yield plain
    elif suffix in compressions:
        with fsspec.compression.compr[compressions[suffix]](file, mode="rb") as plain:
            yield plain
    else:
        yield file


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].removeprefix(".")


def _names(fs: fsspec.AbstractFileSystem, path: str, *, is_folder: bool) -> list[str]:
    if is_folder:
        return sorted(
            name
            for name in fs.ls(path, detail=False)
            if not name.rpartition("/")[2].startswith(_HIDDEN)
            and kind_of(name) in KINDS
            and fs.isfile(name)
        )
    names = [path] if fs.isfile(path) else sorted(fs.glob(path))
    return [name for name in names if fs.isfile(name)]


def _check_stdin() -> None:
    """Refuse a standard input that nobody pipes anything into.

    Raises:
        InputError: it is a terminal, or closed.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise InputError(
            "`-` reads standard input, which is a terminal or closed here: pipe the prompts into "
            "the command, or name a file; a run that holds its prompts goes on without them"
        )
