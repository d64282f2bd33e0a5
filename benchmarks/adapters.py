"""What a LoRA adapter costs the embedded engine: none, applied at load, or asked for by requests.

The adapter changes nothing, so that all ways say the same; it is as large as one that does. Its
requests are batched with those alone that want the same adapters.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import harness, report
from benchmarks.report import Report
from spar_core.conversation import actor_messages
from spar_core.engine.bundled import bundled_model
from spar_core.engine.gguf import read_header

REQUESTS, TOKENS = 64, 100
QUICK_REQUESTS, QUICK_TOKENS = 4, 8

_SLOTS = 32
_CONTEXT = 512
"""Tokens a slot."""
_RANK = 8
_WITH, _WITHOUT = ([{"id": 0, "scale": scale}] for scale in (1.0, 0.0))
_WAYS: dict[str, tuple[str, Sequence[Any]]] = {
    "no adapter": ("none", [None]),
    "applied at load": ("applied", [None]),
    "by request, the same for all": ("loaded", [_WITH]),
    "by request, half without": ("loaded", [_WITH, _WITHOUT]),
}
"""What a server does with its adapter, and what its requests ask for in turns."""


def measure(requests: int = REQUESTS, tokens: int = TOKENS, rounds: int = 2) -> Report:
    """Ask for answers of so many tokens, each way in turns."""
    machine = report.machine()
    rates: dict[str, list[float]] = {way: [] for way in _WAYS}
    with harness.folder() as folder:
        adapter = _write(folder / "adapter.gguf")
        for _ in range(rounds):
            for way, (does, asked) in _WAYS.items():
                with _serving(None if does == "none" else adapter, does == "loaded") as url:
                    asyncio.run(_asked(url, _SLOTS, 2, asked))
                    began = time.monotonic()
                    asyncio.run(_asked(url, requests, tokens, asked))
                rates[way].append(requests * tokens / (time.monotonic() - began))
    plain = statistics.mean(rates["no adapter"])
    rows = [[way, *each, statistics.mean(each) / plain] for way, each in rates.items()]
    columns = ["adapter", *(f"tokens/s, round {n + 1}" for n in range(rounds)), "of none"]
    told = "; ".join(f"{way} {row[-1]:.2f}" for way, row in zip(_WAYS, rows, strict=True))
    return Report(
        "adapters",
        f"Adapters: {requests} requests of {tokens} tokens, {_SLOTS} slots",
        columns,
        rows,
        [("tokens/s with a LoRA adapter, over none", told, "the bundled model, rank 8")],
        {"machine": machine, "requests": requests, "tokens": tokens, "tokens_per_s": rates},
    )


def _write(path: Path) -> Path:
    """An adapter of all layers of the bundled model, of zeros."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", _RANK)
    for name, shape in read_header(bundled_model()).tensors.items():
        if name.startswith("blk.") and len(shape) == 2:
            inputs, outputs = shape
            writer.add_tensor(f"{name}.lora_a", np.zeros((_RANK, inputs), np.float16))
            writer.add_tensor(f"{name}.lora_b", np.zeros((outputs, _RANK), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@contextmanager
def _serving(adapter: Path | None, is_for_requests: bool) -> Iterator[str]:
    """The bundled model, with an adapter that is on for all or for requests that ask for it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(bundled_model())
    if adapter:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter))]
        params.lora_init_without_apply = is_for_requests
    params.n_parallel = _SLOTS
    params.n_ctx = _SLOTS * _CONTEXT
    params.kv_unified = True
    params.verbosity = -1
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


async def _asked(url: str, requests: int, tokens: int, adapters: Sequence[Any]) -> None:
    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        body: dict[str, Any] = {
            "messages": actor_messages(f"Write about the number {number}."),
            "max_tokens": tokens,
            "ignore_eos": True,
            "seed": number,
        }
        if adapter := adapters[number % len(adapters)]:
            body["lora"] = adapter
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            answer = await response.json()
        if (made := answer["usage"]["completion_tokens"]) != tokens:
            raise harness.JobFailed(f"an answer has {made} tokens, not {tokens}")

    timeout = aiohttp.ClientTimeout(total=1800)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        await asyncio.gather(*(ask(session, number) for number in range(requests)))
