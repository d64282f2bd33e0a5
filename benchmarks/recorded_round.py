"""A round whose requests are written down: python -m benchmarks.recorded_round OUT ..., as refine.

OUT: a line for each request, with its body, the tokens of each answer, and when it began and ended;
then what the engine and the client's threads had done when the engine was left.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from pipelines import refine
from spar_core.engine.openai import Call, OpenAIEngine
from spar_core.engine.protocol import ChatAnswer


class Recorder:
    """Wraps the client's requests; keeps bodies as they were sent until the job is over."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, list[int], float, float]] = []
        self.prefilled = 0
        self.client_cpu_s = 0.0
        self.metrics = ""
        self._try, self._read = OpenAIEngine._try, OpenAIEngine._read
        self._close = OpenAIEngine.close

    def install(self) -> None:
        """Put itself between the job and its engines, for the life of this process."""
        recorder = self

        async def tried(engine: OpenAIEngine, call: Call) -> ChatAnswer:
            began = time.monotonic()
            answer = await recorder._try(engine, call)
            tokens = [choice.tokens for choice in answer.choices]
            recorder.requests.append((call.payload, tokens, began, time.monotonic()))
            return answer

        async def read(engine: OpenAIEngine, plain: Any, call: Call) -> ChatAnswer:
            recorder.prefilled += plain.get("timings", {}).get("prompt_n", 0)  # llama.cpp tells it
            return await recorder._read(engine, plain, call)

        async def close(engine: OpenAIEngine) -> None:
            recorder.client_cpu_s = _cpu_of_python_threads()
            try:
                async with engine._session.get(f"{engine.url}/metrics") as response:
                    recorder.metrics = await response.text()
            except aiohttp.ClientError:
                pass  # a server without that page
            await recorder._close(engine)

        vars_of: Any = OpenAIEngine
        vars_of._try, vars_of._read, vars_of.close = tried, read, close

    def write(self, out: Path) -> None:
        """Write all that was recorded as one JSON object."""
        requests = [
            {"body": json.loads(payload), "tokens": tokens, "began": began, "ended": ended}
            for payload, tokens, began, ended in self.requests
        ]
        hits = _counter(self.metrics, "vllm:prefix_cache_hits_total")
        queries = _counter(self.metrics, "vllm:prefix_cache_queries_total")
        kept = {
            "requests": requests,
            "prefilled": self.prefilled or int(queries - hits),
            "client_cpu_s": self.client_cpu_s,
        }
        out.write_text(json.dumps(kept))


def _cpu_of_python_threads() -> float:
    """CPU seconds of this process's threads that run Python; an embedded engine has others."""
    ticks = 0
    for thread in threading.enumerate():
        stat = Path(f"/proc/self/task/{thread.native_id}/stat")
        if stat.exists():
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _counter(metrics: str, name: str) -> float:
    """The sum of a counter in Prometheus' text format; 0 where it is not told."""
    lines = [line for line in metrics.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def main(argv: Sequence[str]) -> int:
    out, *rest = argv
    recorder = Recorder()
    recorder.install()
    try:
        return refine.main(rest)
    finally:
        recorder.write(Path(out))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
