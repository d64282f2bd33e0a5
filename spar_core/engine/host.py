"""The process's one engine: its server where we start one, its client, and the loop they run on."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import shlex
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from schemas.checkpoint import content
from spar_core.engine.llamacpp import LlamaCppEngine, LlamaCppServer, bundled_model
from spar_core.engine.openai import OpenAIEngine, only_model, served_models
from spar_core.engine.protocol import Engine, EngineGone
from spar_core.engine.vllm import VllmEngine, VllmServer

T = TypeVar("T")
Kind = Literal["llamacpp", "vllm", "openai", "scripted"]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine to talk to.

    kind: what it is; `scripted` takes a `module:function` that makes one as its model.
    model: a GGUF file, a checkpoint folder or a served name; "" for the bundled or the only one.
    url: a running server; "" to start one in this process.
    slots: sequences that it decodes at once.
    log: a file for the output of a server that is started; arguments: more for its command line.
    """

    kind: Kind
    model: str = ""
    url: str = ""
    slots: int = 256
    timeout_s: float = 600.0
    patience_s: float = 120.0
    log: str = ""
    arguments: str = ""


class ClosableEngine(Engine, Protocol):
    """An engine that holds connections."""

    async def close(self) -> None: ...


class Server(Protocol):
    """A server that this process started."""

    url: str

    def close(self) -> None: ...


class Host:
    """An engine ready for use on a loop of its own thread.

    Raises:
        EngineGone: the server cannot be started or does not answer.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="engine-loop", daemon=True
        )
        self._thread.start()
        self._server: Server | None = None
        try:
            if not spec.url and spec.kind != "scripted":
                self._server = _start(spec)
            self.engine = self.run(_connect(spec, self._server.url if self._server else spec.url))
        except BaseException:
            self.close()
            raise

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        self.run(self._cancel_all())
        if hasattr(self, "engine"):
            self.run(self.engine.close())
        if self._server:
            self._server.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel_all(self) -> None:
        """Give up what is in flight, so that nothing asks an engine that is closed."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


_lock = threading.Lock()
_host: Host | None = None


def host_for(spec: EngineSpec) -> Host:
    """The process's engine, started where it is not the one that runs.

    One at a time: two models would share a GPU's memory, and stages follow one another.
    """
    global _host
    with _lock:
        if _host is None or _host.spec != spec:
            _close()
            _host = Host(spec)
        return _host


def close() -> None:
    """Stop the process's engine if there is one."""
    with _lock:
        _close()


def _close() -> None:
    global _host
    host, _host = _host, None
    if host:
        host.close()


atexit.register(close)


def identity(spec: EngineSpec) -> dict[str, str]:
    """What an iteration's fingerprint says of a model: its name, and its content if we see it."""
    path = model_path(spec)
    if path is None:
        return {"model": spec.model}
    return {"model": path.name, "content": content(path)}


def model_path(spec: EngineSpec) -> Path | None:
    """The model's file or folder on this machine, None where it is only a name."""
    if spec.kind == "llamacpp" and not spec.url and not spec.model:
        return bundled_model()
    if spec.model and not spec.url and Path(spec.model).exists():
        return Path(spec.model)
    return None


def _start(spec: EngineSpec) -> Server:
    if spec.kind == "llamacpp":
        return LlamaCppServer(Path(spec.model) if spec.model else bundled_model(), slots=spec.slots)
    if spec.kind == "vllm":
        return VllmServer(
            spec.model, Path(spec.log), slots=spec.slots, arguments=shlex.split(spec.arguments)
        )
    raise EngineGone("--engine openai needs --engine_url")


async def _connect(spec: EngineSpec, url: str) -> ClosableEngine:
    if spec.kind == "scripted":
        module, _, name = spec.model.partition(":")
        engine: ClosableEngine = getattr(importlib.import_module(module), name)()
        return engine
    try:
        cards = await served_models(url)
    except EngineGone:
        if not spec.model:
            raise
        cards = {}  # some servers list nothing
    model = spec.model or only_model(url, cards)
    path = model_path(spec)
    kinds = {"llamacpp": LlamaCppEngine, "vllm": VllmEngine, "openai": OpenAIEngine}
    return kinds[spec.kind](
        url,
        model,
        name=path.name if path else model,
        slots=spec.slots,
        context=cards.get(model),
        timeout_s=spec.timeout_s,
        patience_s=spec.patience_s,
    )
