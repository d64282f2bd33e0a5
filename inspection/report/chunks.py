"""Data inside of the page: JSON, deflated, as base64, in chunks that are opened one at a time."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

from terminal.json_text import dumps

CHUNK_CHARS = 400_000
"""A chunk is closed when its JSON is this long: a browser opens it in milliseconds."""

Place = tuple[int, int]
"""Number of a chunk, and number of the item in it."""


def packed(value: Any) -> str:
    return _packed(dumps(value, ensure_ascii=False, separators=(",", ":")))


def _packed(text: str) -> str:
    deflate = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
    return base64.b64encode(deflate.compress(text.encode()) + deflate.flush()).decode()


@dataclass
class Chunks:
    """Items packed into chunks that together are no longer than `room`.

    places: of each item in the order of `add`, None where it was too long for what was left.
    """

    room: int
    closed: list[str] = field(default_factory=list)
    places: list[Place | None] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _open_chars: int = 0

    def has_room(self) -> bool:
        """Whether any item of common length still fits."""
        return self.room - self.used - self._open_chars > CHUNK_CHARS

    @property
    def used(self) -> int:
        return sum(map(len, self.closed))

    @property
    def held(self) -> int:
        """How many of the items have a place."""
        return len(self.places) - self.places.count(None)

    def add(self, item: Any) -> None:
        text = dumps(item, ensure_ascii=False, separators=(",", ":"))
        if self._open_chars + len(text) > CHUNK_CHARS:
            self.close()
        self.places.append((len(self.closed), len(self._open)))
        self._open.append(text)
        self._open_chars += len(text)

    def close(self) -> None:
        """Close the chunk at hand; if it does not fit, its items lose their places."""
        if not self._open:
            return
        chunk = _packed(f"[{','.join(self._open)}]")
        if self.used + len(chunk) <= self.room:
            self.closed.append(chunk)
        else:
            self.places[-len(self._open) :] = [None] * len(self._open)
        self._open, self._open_chars = [], 0
