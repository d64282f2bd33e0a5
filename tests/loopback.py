"""An OpenAI-compatible server on loopback whose answers and faults a test scripts."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from spar_core.engine.protocol import ChatRequest

Body = dict[str, Any]
Answer = list[str] | web.StreamResponse
"""The texts of the choices, or any other response."""


class LoopbackServer:
    """Serves `/v1/chat/completions` and `/v1/models`; remembers what it was sent.

    base: the path above these, in place of `/v1`. models: what it lists, owned by `owner` where
    that is told. list_status: the status of its list, which is empty unless that is 200. bodies,
    headers, paths: of the chat requests, paths with their queries. ports: the client's ports of
    these, another for each connection. prompt_tokens, completion_tokens: as its answers told them.
    """

    def __init__(
        self, answer: Callable[[Body], Answer], port: int = 0, *, base: str = "/v1"
    ) -> None:
        self._answer = answer
        self._base = base
        self.models = ["loopback"]
        self.owner = ""
        self.list_status = 200
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.ports: list[int] = []
        self.paths: list[str] = []
        self.prompt_tokens = self.completion_tokens = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._runner, self.port = asyncio.run_coroutine_threadsafe(
            self._start(port), self._loop
        ).result()
        self.url = f"http://127.0.0.1:{self.port}"

    async def _start(self, port: int) -> tuple[web.AppRunner, int]:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post(f"{self._base}/chat/completions", self._chat)
        app.router.add_get(f"{self._base}/models", self._models)
        app.router.add_get("/health", self._models)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        server = site._server
        assert isinstance(server, asyncio.Server)
        return runner, server.sockets[0].getsockname()[1]

    async def _models(self, _: web.Request) -> web.Response:
        if self.list_status != 200:
            return web.Response(status=self.list_status)
        owned = {"owned_by": self.owner} if self.owner else {}
        cards = [{"id": name} | owned for name in self.models]
        return web.json_response({"object": "list", "data": cards})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body: Body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        assert request.transport is not None
        self.ports.append(request.transport.get_extra_info("peername")[1])
        self.paths.append(request.path_qs)
        answer = self._answer({"n": 1} | body)  # a request for one choice does not say so
        if asyncio.iscoroutine(answer):
            answer = await answer
        if not isinstance(answer, list):
            return answer
        choices = [
            {
                "index": i,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }
            for i, text in enumerate(answer)
        ]
        usage = {
            "prompt_tokens": sum(len(m["content"]) for m in body["messages"]) // 4,
            "completion_tokens": sum(max(1, len(text) // 4) for text in answer),
        }
        self.prompt_tokens += usage["prompt_tokens"]
        self.completion_tokens += usage["completion_tokens"]
        return web.json_response({"choices": choices, "usage": usage})

    async def _end(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # asyncio logs tasks that are left pending, in whichever test comes next
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


def as_script(
    answer: Callable[[Body], Answer], model: str = "scripted"
) -> Callable[[ChatRequest], list[str]]:
    """What plays a server of a model, as the script of an engine in memory."""

    def play(request: ChatRequest) -> list[str]:
        said = answer({"model": model, "messages": list(request.messages), "n": request.n})
        assert isinstance(said, list), "only texts can be said without a server"
        return said

    return play


@contextmanager
def serving(
    answer: Callable[[Body], Answer], port: int = 0, *, base: str = "/v1"
) -> Iterator[LoopbackServer]:
    """A server for the time of the body."""
    server = LoopbackServer(answer, port, base=base)
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def round_script(body: Body) -> Answer:
    """Plays all roles of a round, deterministically by the text asked about.

    Answers hold a hidden quality `q=0.x`; a judge says Yes to a share of votes equal to it, and a
    refinement adds 0.3.
    """
    last = body["messages"][-1]["content"]
    n = body.get("n", 1)
    if "Final Refined Output" in last:
        quality = min(1.0, _quality(body["messages"][0]["content"]) + 0.3)
        return [
            "Reflection on how to refine the Output: more of it.\n"
            f"Final Refined Output: [[start]] better answer {i} q={quality:.1f} [[end]]"
            for i in range(n)
        ]
    if "Final Judgement" in last:
        yes = round(_quality(last) * n)
        return [
            f"Step-by-step verification: checked.\nFinal Judgement: {'Yes' if i < yes else 'No'}"
            for i in range(n)
        ]
    digest = hashlib.sha256(last.encode()).digest()
    return [f"answer {i} to {last[:20]!r} q=0.{digest[i % 32] % 5}" for i in range(n)]


def _quality(text: str) -> float:
    return float(text.rpartition("q=")[2][:3])
