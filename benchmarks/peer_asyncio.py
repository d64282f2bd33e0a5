"""A round by a plain asyncio script: a semaphore, aiohttp, and a line of JSON for each prompt.

python -m benchmarks.peer_asyncio URL PROMPTS OUTPUT SLOTS

Started again it passes over the prompts that the output holds; it keeps nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.plain_round import refine_prompt
from spar_core.engine.protocol import Message


async def run(url: str, prompts: Sequence[str], output: Path, slots: int) -> None:
    """Refine the prompts, with two requests in flight for each slot of the server."""
    room = asyncio.Semaphore(2 * slots)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    )
    with output.open("a") as file:

        async def ask(
            messages: Sequence[Message], drawn: dict[str, Any], n: int, seed: int
        ) -> list[str]:
            body = {"model": "sim", "messages": messages, "n": n, "seed": seed, **drawn}
            async with (
                room,
                session.post(f"{url}/v1/chat/completions", json=body) as response,
            ):
                response.raise_for_status()
                answer = await response.json()
            return [choice["message"]["content"] for choice in answer["choices"]]

        async def do(prompt: str) -> None:
            row = await refine_prompt(prompt, ask)
            file.write(json.dumps(row) + "\n")
            file.flush()

        async with session:
            await asyncio.gather(*map(do, prompts))


def main(argv: Sequence[str]) -> None:
    url, source, output, slots = argv
    Path(output).touch()
    done = set(_prompts(output))
    pending = [prompt for prompt in _prompts(source) if prompt not in done]
    asyncio.run(run(url, pending, Path(output), int(slots)))


def _prompts(file: str) -> list[str]:
    return [json.loads(line)["prompt"] for line in Path(file).read_text().splitlines()]


if __name__ == "__main__":
    main(sys.argv[1:])
