"""What tests of the client ask, and what scripted servers answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Sampling
from tests.loopback import Answer, Body

T = TypeVar("T")
MESSAGES = ({"role": "user", "content": 'Sag "grün" {x}'},)


def request(n: int = 1, seed: int = 3) -> ChatRequest:
    return ChatRequest(MESSAGES, Sampling(0.7, 0.9, 128), n, seed)  # type: ignore[arg-type]


def using(url: str, do: Callable[[OpenAIEngine], Awaitable[T]], **settings: Any) -> T:
    async def main() -> T:
        engine = OpenAIEngine(url, "m", **settings)
        try:
            return await do(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def ask(url: str, n: int = 1, **settings: Any) -> ChatAnswer:
    return using(url, lambda engine: engine.chat(request(n)), **settings)


def completion(*contents: object, prompt: int = 10, tokens: int = 12) -> web.Response:
    return web.json_response(
        {
            "choices": [{"message": {"content": content}} for content in contents],
            "usage": {"prompt_tokens": prompt, "completion_tokens": tokens},
        }
    )


def status(code: int, text: str = "oh no", **headers: str) -> web.Response:
    return web.Response(
        status=code, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def in_turn(*makers: Callable[[], Answer]) -> Callable[[Body], Answer]:
    """Each answer once, the last for ever after."""
    left = list(makers)

    def answer(_: Body) -> Answer:
        return (left.pop(0) if len(left) > 1 else left[0])()

    return answer


def good() -> Answer:
    return ["fine"]
