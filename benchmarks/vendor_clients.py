"""What a request costs the vendors' own clients, beside ours: 256 in flight, answered at once.

Anthropic's Messages and Google's `generateContent` are asked through the vendors' packages
(`make peers` installs them), the OpenAI chat protocol by our client. A server on loopback, in a
process of its own, gives every request one answer of 300 words in the shape of its protocol.

python -m benchmarks.vendor_clients CLIENT URL REQUESTS does one client's part.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks import harness, report
from benchmarks.report import Report

REQUESTS, QUICK_REQUESTS = 3000, 50
PYTHON = harness.ROOT / ".venv-peers" / "bin" / "python"
NOT_INSTALLED = "not installed: make peers"

_IN_FLIGHT = 256
_WARM_UP = 100
_TEXT = "word " * 300
_COLUMNS = ("client", "requests a second", "CPU ms a request")

Ask = Callable[[str], Awaitable[str]]
"""Sends one prompt and returns the text of the answer."""


def measure(requests: int = REQUESTS, *, python: Path = PYTHON) -> Report:
    """Have each client ask for the same answers, one client after the other.

    Args:
        python: of the environment that has the vendors' packages.
    """
    machine = report.machine()
    rows: list[list[object]] = []
    with _serving() as url:
        for name in CLIENTS:
            interpreter = sys.executable if name == "ours" else str(python)
            if not Path(interpreter).is_file():
                rows.append([name, NOT_INSTALLED, ""])
                continue
            line = [interpreter, "-m", __name__, name, url, str(requests)]
            done = subprocess.run(
                line, cwd=harness.ROOT, capture_output=True, check=False, text=True
            )
            if done.returncode:
                raise harness.JobFailed(done.stderr)
            rows.append([name, *json.loads(done.stdout)])
    measured = {str(name): cells for name, *cells in rows if NOT_INSTALLED not in cells}
    told = "; ".join(f"{name} {cpu_ms:.2f}" for name, (_, cpu_ms) in measured.items())
    return Report(
        "vendor_clients",
        f"Clients, {requests} requests, {_IN_FLIGHT} in flight",
        _COLUMNS,
        rows,
        [("CPU ms a request, our client and the vendors'", told, f"{requests} requests")],
        {"machine": machine, "requests": requests, "clients": measured},
    )


def _ours(url: str) -> Ask:
    from spar_core.engine.openai import OpenAIEngine
    from spar_core.engine.protocol import ChatRequest, Message, Sampling

    engine = OpenAIEngine(url, "m", slots=_IN_FLIGHT)

    async def ask(prompt: str) -> str:
        messages: tuple[Message, ...] = ({"role": "user", "content": prompt},)
        reply = await engine.chat(ChatRequest(messages, Sampling(0.7, 1.0, 512), 1, 0))
        return reply.choices[0].text

    return ask


def _anthropic(url: str) -> Ask:
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(base_url=url, api_key="none")

    async def ask(prompt: str) -> str:
        messages: Any = [{"role": "user", "content": prompt}]
        answer = await client.messages.create(model="m", max_tokens=512, messages=messages)
        return str(answer.content[0].text)

    return ask


def _gemini(url: str) -> Ask:
    from google import genai

    client = genai.Client(api_key="none", http_options={"base_url": url})

    async def ask(prompt: str) -> str:
        answer = await client.aio.models.generate_content(model="m", contents=prompt)
        return str(answer.text)

    return ask


CLIENTS: dict[str, Callable[[str], Ask]] = {
    "ours": _ours,
    "anthropic": _anthropic,
    "google-genai": _gemini,
}


async def _asked(ask: Ask, requests: int) -> tuple[float, float]:
    """Requests a second, and CPU ms of each."""
    room = asyncio.Semaphore(_IN_FLIGHT)

    async def one(number: int) -> None:
        async with room:
            assert await ask(f"Task {number}: {_TEXT}") == _TEXT

    await asyncio.gather(*map(one, range(_WARM_UP)))
    cpu_s, began = time.process_time(), time.monotonic()
    await asyncio.gather(*map(one, range(requests)))
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - began
    return requests / wall_s, 1000 * cpu_s / requests


_ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _TEXT},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 300, "completion_tokens": 300},
    },
    "/v1/messages": {
        "id": "1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": _TEXT}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 300, "output_tokens": 300},
    },
    "/v1/models/m:generateContent": {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": _TEXT}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": 300, "candidatesTokenCount": 300},
    },
}


@contextmanager
def _serving() -> Iterator[str]:
    """The server's URL; the server is a process of its own, so that its CPU is not the client's."""
    line = [sys.executable, "-m", __name__, "serve"]
    with subprocess.Popen(line, cwd=harness.ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


async def _serve() -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(_ANSWERS[request.path])

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main(argv: Sequence[str]) -> None:
    if argv == ["serve"]:
        asyncio.run(_serve())
        return
    name, url, requests = argv

    async def client() -> tuple[float, float]:
        return await _asked(CLIENTS[name](url), int(requests))

    print(json.dumps(asyncio.run(client())))


if __name__ == "__main__":
    main(sys.argv[1:])
