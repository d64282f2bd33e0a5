from __future__ import annotations

import asyncio

import pytest

from spar_core.engine.gate import Gate


async def _hold(
    gate: Gate, sequences: int, log: list[str], name: str, until: asyncio.Event
) -> None:
    async with gate.passing(sequences):
        log.append(name)
        await until.wait()


def test_sequences_stay_within_the_limit_and_first_come_goes_first() -> None:
    async def play() -> list[str]:
        gate = Gate(10)
        log: list[str] = []
        events = {name: asyncio.Event() for name in "abcd"}
        sizes = {"a": 6, "b": 5, "c": 4, "d": 4}
        tasks = [asyncio.create_task(_hold(gate, sizes[n], log, n, events[n])) for n in "abcd"]
        await asyncio.sleep(0)
        assert log == ["a"]  # c would fit beside a, but b came before it
        events["a"].set()
        await asyncio.sleep(0.01)
        assert log == ["a", "b", "c"]
        for event in events.values():
            event.set()
        await asyncio.gather(*tasks)
        return log

    assert asyncio.run(play()) == ["a", "b", "c", "d"]


def test_a_request_of_more_than_the_limit_goes_alone() -> None:
    async def play() -> None:
        gate = Gate(2)
        async with gate.passing(5):
            pass
        async with gate.passing(2):
            pass

    asyncio.run(asyncio.wait_for(play(), 60))


@pytest.mark.parametrize("came_up", [False, True])
def test_a_cancelled_waiter_leaves_its_place(came_up: bool) -> None:
    async def play() -> None:
        gate = Gate(1)
        log: list[str] = []
        first, never = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(_hold(gate, 1, log, "a", first))
        waiter = asyncio.create_task(_hold(gate, 1, log, "b", never))
        await asyncio.sleep(0)
        if came_up:
            first.set()
            await holder  # the waiter's turn is set, but it has not run yet
        waiter.cancel()
        first.set()
        await asyncio.gather(holder, waiter, return_exceptions=True)
        async with asyncio.timeout(60), gate.passing(1):
            log.append("c")
        assert log[0] == "a"
        assert log[-1] == "c"

    asyncio.run(play())
