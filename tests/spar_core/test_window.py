"""The window of work in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from spar_core.window import Window


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_window_is_bounded_and_full_at_its_size(loop: asyncio.AbstractEventLoop) -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return number

    window: Window[int] = Window(loop, 3)
    results = []
    for number in range(20):
        while window.is_full:
            assert len(window) == 3
            done = window.next(5)
            assert done is not None
            results.append(done)
        window.submit(work(number))
    while len(window):
        done = window.next(5)
        assert done is not None
        results.append(done)
    assert sorted(results) == list(range(20))
    assert most <= 3 and not window.is_full


def test_results_come_as_they_finish(loop: asyncio.AbstractEventLoop) -> None:
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "slow"

    async def fast() -> str:
        return "fast"

    window: Window[str] = Window(loop, 2)
    window.submit(slow())
    window.submit(fast())
    assert window.next(5) == "fast"
    assert len(window) == 1 and window.next(0.01) is None
    loop.call_soon_threadsafe(gate.set)
    assert window.next(5) == "slow"


def test_exceptions_come_out_and_leave_the_rest_running(loop: asyncio.AbstractEventLoop) -> None:
    gate = asyncio.Event()

    async def bad() -> str:
        raise ValueError("broken")

    async def good() -> str:
        await gate.wait()
        return "good"

    window: Window[str] = Window(loop, 2)
    window.submit(bad())
    window.submit(good())
    with pytest.raises(ValueError, match="broken"):
        window.next(5)
    assert len(window) == 1
    loop.call_soon_threadsafe(gate.set)
    assert window.next(5) == "good"


def test_cancel_gives_up_all_that_runs(loop: asyncio.AbstractEventLoop) -> None:
    ended: list[int] = []
    begun = threading.Semaphore(0)

    async def endless(number: int) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    window: Window[None] = Window(loop, 4)
    for number in range(4):
        window.submit(endless(number))
        assert begun.acquire(timeout=60)
    window.cancel()
    assert len(window) == 0 and not window.is_full
    deadline = time.monotonic() + 60
    while len(ended) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sorted(ended) == [0, 1, 2, 3]
