"""A sliding window of work in flight: what keeps the engine full.

Items are admitted one by one and leave as they finish; no batch waits for its slowest.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Window(Generic[T]):
    """Runs at most `size` coroutines at once on an event loop of another thread.

    Used from one thread; memory is bounded by `size`, which may change at any time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self.size = size
        self._running: set[Future[T]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._finished: queue.SimpleQueue[Future[T]] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def is_full(self) -> bool:
        return len(self._running) >= self.size

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Start a coroutine; the caller sees to it that there is room."""
        future = asyncio.run_coroutine_threadsafe(self._tracked(coroutine), self._loop)
        self._running.add(future)
        future.add_done_callback(self._finished.put)

    def next(self, timeout_s: float) -> T | None:
        """The result of a coroutine that finished; None where none did in time.

        Raises:
            Whatever the coroutine raised.
        """
        try:
            future = self._finished.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._running.discard(future)
        return future.result()

    def cancel(self) -> None:
        """Give up all that runs, and wait until none of it runs any more."""
        self._running.clear()
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()

    async def _tracked(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await coroutine

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
