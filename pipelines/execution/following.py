"""Which items of a stage follow from the rows of single prompts: the stage's own SQL, over these.

So that a prompt goes through several stages in one worker and gets the items that planning over the
whole run would give it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb

from pipelines.execution.plan import Part
from pipelines.execution.work import bucket_name
from schemas import TABLES
from spar_core.dataset import Rows
from spar_core.stage import Item
from spar_core.stage_items import items_of_rows, tables_read

BUCKETS = "_buckets"
DONE = "_done"
"""Columns of a work file of prompts beside their rows of each table."""

_GATHER_S = 0.05
"""Seconds that a query waits for more prompts: it takes as long for one prompt as for many."""


@dataclass(frozen=True, slots=True)
class PromptRows:
    """What there is of a prompt.

    tables: its rows by table, as plain values. buckets: by stage where its items go; done: by stage
    the keys of those that are committed.
    """

    prompt_id: str
    tables: dict[str, list[dict[str, Any]]]
    buckets: Sequence[str]
    done: Sequence[frozenset[str]]

    @classmethod
    def of(cls, item: Item) -> PromptRows:
        """From a row of a work file."""
        tables = {name: list(rows or ()) for name, rows in item.items() if name in TABLES}
        done = [frozenset(keys or ()) for keys in item[DONE]]
        return cls(item["key"], tables, [*map(bucket_name, item[BUCKETS])], done)

    def add(self, rows: Rows) -> None:
        """Take rows in that a stage has made."""
        for name, some in rows.items():
            if name in self.tables:
                self.tables[name] += map(TABLES[name].plain, some)


class Following:
    """Answers which items follow, for many prompts at once where many ask; on an event loop.

    Closed by `close`.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._thread = ThreadPoolExecutor(1, "following")
        self._connection = duckdb.connect()
        self._connection.execute("set threads = 1")
        self._waiting: dict[int, list[tuple[PromptRows, asyncio.Future[list[Item]]]]] = {}
        self._answering: asyncio.Task[None] | None = None

    async def items(self, number: int, prompt: PromptRows) -> list[Item]:
        """The items of the stage of a number, those that are done included."""
        future: asyncio.Future[list[Item]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(number, []).append((prompt, future))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer())
        return await future

    def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            number, asking = self._waiting.popitem()
            prompts = [prompt for prompt, _ in asking]
            try:
                found = await loop.run_in_executor(self._thread, self._query, number, prompts)
            except BaseException as error:
                for _, future in asking:
                    if not future.done():
                        future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for prompt, future in asking:
                if not future.done():
                    future.set_result(found.get(prompt.prompt_id, []))

    def _query(self, number: int, prompts: Sequence[PromptRows]) -> Mapping[str, list[Item]]:
        """By prompt the items of a stage."""
        part = self._parts[number]
        rows = {
            name: [row for prompt in prompts for row in prompt.tables[name]]
            for name in tables_read(part.stage)
        }
        found: dict[str, list[Item]] = defaultdict(list)
        for item in items_of_rows(self._connection, part.stage, part.settings, rows, part.split):
            found[item["prompt_id"]].append(item)
        return found
