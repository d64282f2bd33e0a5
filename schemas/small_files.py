"""Committed files of an object store as DuckDB reads them: small ones whole, many in one go."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem

if TYPE_CHECKING:
    from fsspec.spec import AbstractBufferedFile

KEPT_BYTES = 64 * 2**20
"""What all runs of a process keep together."""

_AT_ONCE = 64
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class CommittedFiles(AbstractFileSystem):  # type: ignore[misc]
    """Reads a run's committed files, which never change: their names hold a hash of their content.

    DuckDB asks for a file's size, its time and several of its pieces, one file after the other:
    five or six requests for each, where a run that is not merged has hundreds of files. A small
    file is therefore read whole, together with the small files after it, and kept.

    Args:
        fs: the object store.
        small: paths of the small files, in the order in which queries read them.
    """

    cachable = False

    def __init__(self, fs: AbstractFileSystem, small: Sequence[str]) -> None:
        super().__init__()
        self.protocol = fs.protocol
        self._fs = fs
        self._small = [str(fs._strip_protocol(path)) for path in small]
        self._numbers = {path: number for number, path in enumerate(self._small)}

    def open(self, path: str, mode: str = "rb", **_: Any) -> io.BytesIO | AbstractBufferedFile:
        data = self._whole(path) if mode == "rb" else None
        # DuckDB reads pieces here and there and leaves files to be collected: a cache that reads
        # ahead in tasks of its own, as gcsfs has it, complains of tasks that were dropped.
        return (
            self._fs.open(path, mode, cache_type="readahead") if data is None else io.BytesIO(data)
        )

    def size(self, path: str) -> int:
        data = self._whole(path)
        return int(self._fs.size(path)) if data is None else len(data)

    def modified(self, path: str) -> datetime:
        return _ANY_TIME

    def exists(self, path: str, **_: Any) -> bool:
        return self._fs._strip_protocol(path) in self._numbers or bool(self._fs.exists(path))

    def info(self, path: str, **more: Any) -> dict[str, Any]:
        return dict(self._fs.info(path, **more))

    def glob(self, path: str, **more: Any) -> list[str]:
        at = str(self._fs._strip_protocol(path))
        return [at] if at in self._numbers else list(self._fs.glob(path, **more))

    def _whole(self, path: str) -> bytes | None:
        """The content of a small file; None of another, and of one that cannot be read."""
        path = str(self._fs._strip_protocol(path))
        number = self._numbers.get(path)
        if number is None:
            return None
        url = self._url(path)
        if (data := kept.get(url)) is None:
            more = [p for p in self._small[number:] if self._url(p) not in kept][:_AT_ONCE]
            read = self._fs.cat([path, *more], on_error="omit")
            for at, content in read.items():
                kept.add(self._url(at), content)
            data = read.get(path)
        return data

    def _url(self, path: str) -> str:
        return str(self._fs.unstrip_protocol(path))


class Kept:
    """Contents by URL; those that were asked for long ago make room for others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def __contains__(self, url: str) -> bool:
        return url in self._contents

    def get(self, url: str) -> bytes | None:
        with self._lock:
            if (data := self._contents.get(url)) is not None:
                self._contents.move_to_end(url)
            return data

    def add(self, url: str, data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._contents.pop(url, b""))
            self._contents[url] = data
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._contents.popitem(last=False)[1])


kept = Kept()
