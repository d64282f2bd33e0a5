"""A simulated engine: OpenAI's protocol over a continuous-batching clock, for runs without a GPU.

A step gives every running sequence a token and takes t0 + per_seq * running seconds, and prefill
its own time (numbers as of vLLM with an 8B model on one H200-class GPU). Prompts that begin alike
share their prefill. A request whose client is gone is aborted, as vLLM does: its slots are free
at once, what it decoded is spent. `GET /stats` tells what was done, `POST /reset` forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from benchmarks.answers import Script, stream
from spar_core.engine.protocol import Message

SAMPLED_EVERY_S = 0.5
_TURN = 4
"""Steps between looks at who waits."""
_BLOCK = 64
"""Characters of a block of the prefix cache: 16 tokens."""
_BACKLOG = 2048
"""Connections that may wait to be accepted, as with vLLM's server."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The engine's times in seconds; `factor` runs its clock so many times faster."""

    slots: int = 256
    t0: float = 0.008
    per_seq: float = 0.00004
    prefill_rate: float = 40_000.0
    factor: float = 1.0

    @property
    def full_rate(self) -> float:
        """Tokens per second with all slots in use."""
        return self.slots / (self.t0 + self.per_seq * self.slots)


@dataclass(slots=True)
class Stats:
    """What was done since the last reset; times are of the engine's clock.

    sequences: asked for. answered: those of requests that were answered.
    """

    requests: int = 0
    failed: int = 0
    aborted: int = 0
    sequences: int = 0
    answered: int = 0
    prompt_tokens: int = 0
    prefill_tokens: int = 0
    completion_tokens: int = 0
    slot_s: float = 0.0
    started: float | None = None
    last: float = 0.0
    timeline: list[tuple[float, int, int]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Generation:
    """An answer in the making; `end` is the step that gives its last token."""

    tokens: int
    prefill: int
    done: asyncio.Future[None]
    end: int = 0
    is_running: bool = False
    is_over: bool = False


class Batcher:
    """Decodes what is submitted, `slots` sequences at once, first come first served."""

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.stats = Stats()
        self._waiting: deque[Generation] = deque()
        self._ends: list[tuple[int, int, Generation]] = []
        self._running = 0
        self._admitted = 0
        self._step = 0
        self._arrival = asyncio.Event()

    def submit(self, tokens: Sequence[int], prefill: int) -> list[Generation]:
        """Queue the sequences of a request; its prefill goes with the first."""
        future = asyncio.get_running_loop().create_future
        new = [Generation(t, 0 if i else prefill, future()) for i, t in enumerate(tokens)]
        self._waiting.extend(new)
        self._arrival.set()
        return new

    def abort(self, generation: Generation) -> None:
        """Free the slot; what was decoded stays spent."""
        if not generation.is_over and generation.is_running:
            self._running -= 1
        generation.is_over = True

    async def run(self) -> None:
        """The clock: it catches up when this process was kept from the CPU."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            prefill = self._admit()
            if not self._running:
                self._arrival.clear()
                await self._arrival.wait()
                due = loop.time()
                continue
            if self.stats.started is None:
                self.stats.started = due
            steps = max(1, min(_TURN, self._ends[0][0] - self._step))
            took = steps * (self.speed.t0 + self.speed.per_seq * self._running)
            took += prefill / self.speed.prefill_rate
            due += took / self.speed.factor
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._step += steps
            self.stats.completion_tokens += steps * self._running
            self.stats.slot_s += self._running * took
            self.stats.last = loop.time()
            self._finish()

    async def sample(self) -> None:
        """Note the slots in use, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SAMPLED_EVERY_S / self.speed.factor)
            if self.stats.started is not None:
                at = (loop.time() - self.stats.started) * self.speed.factor
                waiting = sum(not generation.is_over for generation in self._waiting)
                self.stats.timeline.append((round(at, 2), self._running, waiting))

    def report(self) -> dict[str, Any]:
        """The stats, and what follows from them.

        floor_s: prefill, and every token at the rate of the full engine.
        """
        stats, speed = self.stats, self.speed
        wall = 0.0 if stats.started is None else (stats.last - stats.started) * speed.factor
        floor = stats.completion_tokens / speed.full_rate + stats.prefill_tokens / (
            speed.prefill_rate
        )
        return {
            "requests": stats.requests,
            "failed": stats.failed,
            "aborted": stats.aborted,
            "sequences": stats.sequences,
            "answered": stats.answered,
            "prompt_tokens": stats.prompt_tokens,
            "prefill_tokens": stats.prefill_tokens,
            "completion_tokens": stats.completion_tokens,
            "wall_s": wall,
            "floor_s": floor,
            "wall_over_floor": wall / floor if floor else None,
            "mean_occupancy": stats.slot_s / wall / speed.slots if wall > 0 else None,
            "timeline": [point for point in stats.timeline if point[0] <= wall],
        }

    def _admit(self) -> int:
        """Fill the free slots; returns the tokens to prefill."""
        prefill = 0
        while self._waiting and self._running < self.speed.slots:
            generation = self._waiting.popleft()
            if generation.is_over:
                continue
            generation.is_running = True
            generation.end = self._step + generation.tokens
            self._admitted += 1
            heapq.heappush(self._ends, (generation.end, self._admitted, generation))
            self._running += 1
            prefill += generation.prefill
        self.stats.prefill_tokens += prefill
        self._forget_aborted()
        return prefill

    def _finish(self) -> None:
        while self._ends and self._ends[0][0] <= self._step:
            generation = heapq.heappop(self._ends)[2]
            if not generation.is_over:
                generation.is_over = True
                self._running -= 1
                if not generation.done.done():
                    generation.done.set_result(None)

    def _forget_aborted(self) -> None:
        while self._ends and self._ends[0][2].is_over:
            heapq.heappop(self._ends)


class Server:
    """The HTTP side."""

    def __init__(self, batcher: Batcher, script: Script, fail_rate: float) -> None:
        self._batcher = batcher
        self._script = script
        self._fail_rate = fail_rate
        self._chance = stream("failures", script.seed)
        self._cache: set[int] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/reset", self._reset)
        return app

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        stats = self._batcher.stats
        stats.requests += 1
        if self._chance.random() < self._fail_rate:
            stats.failed += 1
            return web.json_response({"error": {"message": "simulated"}}, status=500)
        messages: list[Message] = body["messages"]
        n, limit = int(body.get("n") or 1), int(body.get("max_tokens") or 4096)
        texts = self._script.answers(messages, int(body.get("seed") or 0), n)
        tokens = [min(limit, max(1, len(text) // 4)) for text in texts]
        prompt_tokens = sum(len(message["content"]) for message in messages) // 4
        stats.sequences += n
        stats.prompt_tokens += prompt_tokens
        generations = self._batcher.submit(tokens, self._uncached(messages))
        try:
            await asyncio.gather(*(generation.done for generation in generations))
        except asyncio.CancelledError:
            self._batcher.stats.aborted += 1
            for generation in generations:
                self._batcher.abort(generation)
            raise
        stats.answered += n
        choices = [
            {
                "index": i,
                "finish_reason": "length" if len(text) // 4 > limit else "stop",
                "message": {"role": "assistant", "content": text[: 4 * limit + 3]},
            }
            for i, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": sum(tokens)}
        return web.json_response({"model": "sim", "choices": choices, "usage": usage})

    def _uncached(self, messages: Sequence[Message]) -> int:
        """Prompt tokens that no earlier prompt had at its beginning."""
        text = "".join(f"<{message['role']}>{message['content']}" for message in messages)
        prefix, missing = 0, 0
        for start in range(0, len(text), _BLOCK):
            block = text[start : start + _BLOCK]
            prefix = hash((prefix, block))
            if prefix not in self._cache:
                self._cache.add(prefix)
                missing += len(block)
        return max(1, missing // 4)

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "sim", "object": "model"}]})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._batcher.report())

    async def _reset(self, _: web.Request) -> web.Response:
        self._batcher.stats = Stats()
        self._cache.clear()
        return web.json_response({"ok": True})


async def serve(port: int, speed: Speed, script: Script, fail_rate: float) -> None:
    """Serve on loopback for ever; says on stdout where."""
    batcher = Batcher(speed)
    server = Server(batcher, script, fail_rate)
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=_BACKLOG).start()
    where = {"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()
    await asyncio.gather(batcher.run(), batcher.sample())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=8001, help="0 for any that is free")
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--t0", type=float, default=0.008, help="seconds a step takes at least")
    parser.add_argument("--per-seq", type=float, default=0.00004, help="and for each sequence")
    parser.add_argument("--prefill-rate", type=float, default=40_000.0, help="tokens a second")
    parser.add_argument("--speed", type=float, default=1.0, help="of the clock")
    parser.add_argument("--fail-rate", type=float, default=0.0, help="requests answered 500")
    parser.add_argument("--malformed-rate", type=float, default=0.0)
    parser.add_argument("--equal-rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args(argv)
    speed = Speed(o.slots, o.t0, o.per_seq, o.prefill_rate, o.speed)
    script = Script(o.seed, o.malformed_rate, o.equal_rate)
    asyncio.run(serve(o.port, speed, script, o.fail_rate))


if __name__ == "__main__":
    main()
