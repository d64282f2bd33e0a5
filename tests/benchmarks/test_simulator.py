from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from benchmarks.answers import Script
from benchmarks.simulator import Batcher, Server, Speed

BODY = {"messages": [{"role": "user", "content": "Write. " * 100}], "n": 3, "seed": 1}


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock goes on to the next timer at once: nobody waits, no load is seen."""

    def __init__(self) -> None:
        super().__init__(Jumping(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class Jumping(selectors.SelectSelector):
    """Moves the clock of its loop instead of waiting."""

    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


def _decoding(
    play: Callable[[Batcher], Awaitable[None]], *, slots: int, factor: float
) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        batcher = Batcher(Speed(slots=slots, factor=factor))
        clock = asyncio.create_task(batcher.run())
        await asyncio.wait_for(play(batcher), 30)
        clock.cancel()
        return batcher.report()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(run())


def test_a_full_engine_is_at_its_floor() -> None:
    async def play(batcher: Batcher) -> None:
        made = batcher.submit([20] * 64, prefill=1000)
        await asyncio.gather(*(generation.done for generation in made))

    stats = _decoding(play, slots=16, factor=1)
    assert stats["completion_tokens"] == 64 * 20
    assert stats["floor_s"] == pytest.approx(80 * (0.008 + 16 * 0.00004) + 1000 / 40_000)
    assert 0.99 < stats["wall_over_floor"] < 1.5
    assert stats["mean_occupancy"] > 0.6


def test_one_sequence_at_a_time_leaves_the_slots_empty() -> None:
    async def play(batcher: Batcher) -> None:
        for _ in range(4):
            await batcher.submit([20], prefill=0)[0].done

    assert _decoding(play, slots=16, factor=10)["mean_occupancy"] < 0.08


def test_what_is_aborted_frees_its_slot_and_is_spent_so_far() -> None:
    async def play(batcher: Batcher) -> None:
        long, waiting, short = batcher.submit([100_000, 100_000, 10], prefill=0)
        while not batcher.stats.completion_tokens:
            await asyncio.sleep(0.001)
        batcher.abort(long)
        batcher.abort(waiting)
        await short.done

    stats = _decoding(play, slots=1, factor=1)
    assert 10 < stats["completion_tokens"] < 1000


def _serving(
    play: Callable[[aiohttp.ClientSession, str], Awaitable[None]], *, fail_rate: float = 0.0
) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        batcher = Batcher(Speed(slots=8, factor=20))
        app = Server(batcher, Script(), fail_rate).app()
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        clock = asyncio.create_task(batcher.run())
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            await asyncio.wait_for(play(session, url), 30)
            async with session.get(f"{url}/stats") as response:
                stats: dict[str, Any] = await response.json()
        clock.cancel()
        await runner.cleanup()
        return stats

    return asyncio.run(run())


def test_chats_are_answered_and_counted() -> None:
    async def play(session: aiohttp.ClientSession, url: str) -> None:
        answers = []
        for _ in range(2):
            async with session.post(f"{url}/v1/chat/completions", json=BODY) as response:
                answers.append(await response.json())
        assert answers[0] == answers[1]
        assert len(answers[0]["choices"]) == 3

    stats = _serving(play)
    assert (stats["requests"], stats["sequences"]) == (2, 6)
    assert stats["prefill_tokens"] < stats["prompt_tokens"] * 0.6  # the second time it is cached


def test_the_request_of_a_client_that_is_gone_is_aborted() -> None:
    async def play(session: aiohttp.ClientSession, url: str) -> None:
        async def told(name: str) -> int:
            async with session.get(f"{url}/stats") as response:
                return int((await response.json())[name])

        asking = asyncio.create_task(session.post(f"{url}/v1/chat/completions", json=BODY))
        while not await told("completion_tokens"):
            await asyncio.sleep(0.001)
        asking.cancel()
        while not await told("aborted"):
            await asyncio.sleep(0.001)

    stats = _serving(play)
    assert stats["aborted"] == 1
    assert 0 < stats["completion_tokens"] < 600


def test_a_share_of_requests_fails_and_not_for_ever() -> None:
    async def play(session: aiohttp.ClientSession, url: str) -> None:
        statuses = []
        for _ in range(40):
            body = {**BODY, "n": 1, "max_tokens": 1}
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                statuses.append(response.status)
        assert set(statuses) == {200, 500}

    assert 10 <= _serving(play, fail_rate=0.5)["failed"] <= 30
