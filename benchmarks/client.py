"""The client alone: what a request costs it when requests come at once, and at a stage's pace.

Beside it plain Python work, at once and with pauses: on shared cores whatever has slept runs on
cold caches, so the same work costs more CPU the more seldom it is done.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

from benchmarks import harness, report
from benchmarks.report import Report
from spar_core.conversation import judge_messages
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ChatRequest, Sampling

REQUESTS, QUICK_REQUESTS = 1500, 100
SPEEDS = (60.0, 4.0)
"""Of the simulator: as fast as the client can, and as fast as `saturation` lets a stage go."""

_AT_ONCE = 200
_VOTES = 5
_WARM_UP = 100


def measure(requests: int = REQUESTS, speeds: Sequence[float] = SPEEDS) -> Report:
    """Ask for votes on the simulator, then do plain work at the same paces."""
    machine = report.machine()
    asked = []
    for speed in speeds:
        with harness.simulating("--slots", "256", "--speed", str(speed)) as simulator:
            asked.append(asyncio.run(_asked(simulator.url, requests)))
    paces = [0.0, *(1 / rate for rate, _ in asked[1:])]
    worked = [_worked(requests, pause_s) for pause_s in paces]
    rows = [["a request of five votes", *each] for each in asked]
    rows += [["plain Python work", *each] for each in worked]
    return Report(
        "client",
        f"Client: {requests} requests, 256 slots",
        ("what", "a second", "CPU ms each"),
        rows,
        [("CPU of the client alone, a request", _told(asked), f"plain work: {_told(worked)}")],
        {"machine": machine, "requests": requests, "speeds": list(speeds), "rows": rows},
    )


def _told(paces: Sequence[tuple[float, float]]) -> str:
    return "; ".join(f"{cpu_ms:.2f} ms at {rate:.0f} a second" for rate, cpu_ms in paces)


async def _asked(url: str, requests: int) -> tuple[float, float]:
    """Requests a second, and CPU ms of each."""
    engine = OpenAIEngine(url, "simulated", slots=256)
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(number: int) -> None:
        messages = judge_messages(f"Task {number}", "word " * 300)
        async with room:
            await engine.chat(ChatRequest(tuple(messages), Sampling(0.7, 1.0, 512), _VOTES, number))

    try:
        await asyncio.gather(*map(ask, range(_WARM_UP)))
        cpu_s, began = time.process_time(), time.monotonic()
        await asyncio.gather(*map(ask, range(requests)))
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - began
    finally:
        await engine.close()
    return requests / wall_s, 1000 * cpu_s / requests


def _worked(times: int, pause_s: float) -> tuple[float, float]:
    """Pieces of work a second, and CPU ms of each."""
    choices = [{"message": {"content": "word " * 400}, "finish_reason": "stop"}] * _VOTES
    text = json.dumps({"choices": choices})
    cpu_s, began = time.process_time(), time.monotonic()
    for _ in range(times):
        for _ in range(_VOTES):
            json.dumps(json.loads(text))
        if pause_s:
            time.sleep(pause_s)
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - began
    return times / wall_s, 1000 * cpu_s / times
