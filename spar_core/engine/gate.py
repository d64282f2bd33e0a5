"""How many sequences are in flight at once; whoever comes first goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Lets requests through while their sequences stay within a limit, which may change.

    A request of more sequences than the limit goes alone. Used on one event loop.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def passing(self, sequences: int) -> AsyncIterator[None]:
        """Wait for room, and take it for the time of the body."""
        if self._queue or not self._has_room(sequences):
            turn = asyncio.get_running_loop().create_future()
            self._queue.append((sequences, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave(sequences)  # its turn had come just then
                raise
        else:
            self._inside += sequences
        try:
            yield
        finally:
            self._leave(sequences)

    def _leave(self, sequences: int) -> None:
        self._inside -= sequences
        while self._queue and (self._queue[0][1].done() or self._has_room(self._queue[0][0])):
            waiting, turn = self._queue.popleft()
            if not turn.done():
                self._inside += waiting
                turn.set_result(None)

    def _has_room(self, sequences: int) -> bool:
        return not self._inside or self._inside + sequences <= self.limit
