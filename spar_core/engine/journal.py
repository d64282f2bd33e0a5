"""A journal of paid-for answers, so that a crash costs only what was in flight.

An item (a tree, say) that a crash cut off is done again from its start; its requests are the same
as before, seeds included, so the answers it got before come from here and the search replays
without knowing. An item's answers are forgotten once the item is committed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tenacity

from spar_core.engine.meter import Meter
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Choice, Engine


class Journal:
    """Answers by item and request, in an SQLite file; several processes may share it.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        with _os_errors():
            try:
                self._open(path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # a power cut spoilt it: its answers are lost
                for spoilt in path.parent.glob(f"{path.name}*"):
                    spoilt.unlink()
                self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        # A killed process loses nothing it wrote; a power cut may cost the last answers.
        self._write_ahead()
        self._db.execute("pragma synchronous = off")
        self._db.execute(
            "create table if not exists answers "
            "(item text, request blob, answer text, primary key (item, request)) without rowid"
        )

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(sqlite3.OperationalError),
        wait=tenacity.wait_random(0.01, 0.1),
        stop=tenacity.stop_after_delay(60),
        reraise=True,
    )
    def _write_ahead(self) -> None:
        """Set the mode; SQLite does not wait here for another who sets it just then."""
        self._db.execute("pragma journal_mode = wal")

    def find(self, item: str, request: bytes) -> ChatAnswer | None:
        query = "select answer from answers where item = ? and request = ?"
        with self._lock, _os_errors():
            row = self._db.execute(query, (item, request)).fetchone()
        if row is None:
            return None
        prompt_tokens, choices = json.loads(row[0])  # older journals know of no reasoning
        return ChatAnswer(tuple(Choice(*choice) for choice in choices), prompt_tokens)

    def add(self, item: str, request: bytes, answer: ChatAnswer) -> None:
        choices = [dataclasses.astuple(choice) for choice in answer.choices]
        row = (item, request, json.dumps((answer.prompt_tokens, choices)))
        with self._lock, _os_errors():
            self._db.execute("insert or replace into answers values (?, ?, ?)", row)

    def forget(self, items: Iterable[str]) -> None:
        """Drop the answers of items that are committed."""
        with self._lock, _os_errors():
            self._db.execute("begin")
            self._db.executemany("delete from answers where item = ?", [(i,) for i in items])
            self._db.execute("commit")

    def close(self) -> None:
        self._db.close()


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"cannot use the journal: {error}") from error


class JournaledEngine:
    """An engine as one item sees it: what it asked in an earlier life is not paid for again.

    Args:
        meter: counts what is replayed; None where nobody asks.
        body: what the engine adds to requests (`request_body.binding`): with another one an answer
            that was paid for is that to another request.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        item: str,
        meter: Meter | None = None,
        *,
        body: str = "",
    ) -> None:
        self.name = engine.name
        self._meter = meter or Meter()
        self._engine = engine
        self._journal = journal
        self._item = item
        self._body = body

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        drawn = (request.sampling.temperature, request.sampling.top_p, request.sampling.max_tokens)
        asked = [self.name, request.messages, request.n, request.seed, request.grammar, drawn]
        asked += [request.stop] if request.stop else []  # older journals know of none
        asked += [{"body": self._body}] if self._body else []
        key = hashlib.sha256(json.dumps(asked).encode()).digest()
        answer = self._journal.find(self._item, key)
        if answer is not None:
            self._meter.count(
                replayed=1,
                replayed_prompt_tokens=answer.prompt_tokens,
                replayed_completion_tokens=answer.completion_tokens,
            )
            return answer
        answer = await self._engine.chat(request)
        self._journal.add(self._item, key, answer)
        return answer
