"""The engines of a process: their servers where we start some, their clients, their loop."""

from __future__ import annotations

import asyncio
import atexit
import shlex
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from spar_core.engine import fetching, llamacpp, serve_command, vllm
from spar_core.engine.bundled import bundled_model
from spar_core.engine.clients import ClosableEngine, connect
from spar_core.engine.llamacpp import LlamaCppServer
from spar_core.engine.machine import TURN_S, Command, Machine, Seat, free_port
from spar_core.engine.meter import Meter
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.peft_adapters import adapter_arguments
from spar_core.engine.pool import EnginePool
from spar_core.engine.process_server import ProcessServer
from spar_core.engine.protocol import Engine, EngineGone
from spar_core.engine.request_body import WithBody
from spar_core.engine.spec import (
    EngineSpec,
    adapter_path,
    is_fetched,
    request_fields,
    with_adapter,
)
from spar_core.engine.vllm import VllmServer

T = TypeVar("T")

_COUNT_S = 1.0
"""How often those who share a server are counted."""


class Server(Protocol):
    """A server that this process started, or has started with others."""

    url: str

    @property
    def is_up(self) -> bool: ...

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Running:
    """An engine that is up, and by how many leases it is held."""

    engine: ClosableEngine
    server: Server | None
    slots: int
    held: int = 0

    @property
    def slots_now(self) -> int:
        """Of all its servers, which may become more; of one that is shared our part."""
        if isinstance(self.server, Seat):
            return max(1, self.slots // self.server.sharers)
        return self.engine.slots if isinstance(self.engine, EnginePool) else self.slots

    @property
    def is_dead(self) -> bool:
        """Whether its server, which we started, has ended."""
        return self.server is not None and not self.server.is_up


class Lease:
    """Engines held ready for use, by role, until they are released."""

    def __init__(self, owner: Engines, roles: Mapping[str, EngineSpec]) -> None:
        self._owner = owner
        self._specs = list(dict.fromkeys(spec.shared for spec in roles.values()))
        self.engines: dict[str, Engine] = {}
        running = self._running = owner._hold(self._specs)
        for role, spec in roles.items():
            engine = running[spec.shared].engine
            fields = request_fields(spec)
            name = with_adapter(engine.name, spec) if spec.kind == "vllm" else ""
            self.engines[role] = WithBody(engine, fields, name) if fields else engine

    @property
    def slots(self) -> int:
        """Sequences that the engines decode at once, all together."""
        return sum(each.slots_now for each in self._running.values())

    def release(self) -> None:
        """Hold them no longer; they may stay up for the next."""
        specs, self._specs = self._specs, []
        self._owner._release(specs)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Engines:
    """All engines of a process, on one event loop of a thread of its own, counted by one meter.

    Those at URLs and the scripted ones live side by side until `close`. Those that this process
    starts share its GPU or its cores, so they take turns: one that nobody holds stays up until
    another is to be started, and one that a lease holds is waited for. Embedded llama.cpp ones may
    be up together. One that has died is started again for the next lease.

    Args:
        log: where the servers that are started write; None for a file in the temporary folder.
        machine: whose servers are used in place of ones of this process alone.
    """

    def __init__(self, log: Path | None = None, machine: Machine | None = None) -> None:
        self.meter = Meter()
        self._machine = machine
        self.loop = asyncio.new_event_loop()
        self._log = log
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="engine-loop", daemon=True
        )
        self._thread.start()
        self._changed = threading.Condition()
        self._running: dict[EngineSpec, _Running] = {}
        self._is_changing = False
        self._is_closed = False
        atexit.register(self.close)

    def using(self, specs: Mapping[str, EngineSpec]) -> Lease:
        """Hold the engines of some roles ready, starting those that are not up.

        Raises:
            EngineGone: one cannot be started, does not answer or has no room beside others.
        """
        return Lease(self, specs)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, from another thread, to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Give up what is in flight, close the clients and stop the servers."""
        with self._changed:
            is_first, self._is_closed = not self._is_closed, True
            self._changed.notify_all()
            while self._is_changing:
                self._changed.wait()
            running, self._running = self._running, {}
        if not is_first:
            return
        atexit.unregister(self.close)
        self.run(self._cancel_all())
        self._stop(running.values())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _hold(self, specs: list[EngineSpec]) -> dict[EngineSpec, _Running]:
        """Count a lease for all of the engines at once, starting those that are not up."""
        _refuse(specs)
        with self._changed:
            self._wait_for_turn(specs)
            self._is_changing = True
            dead = [spec for spec in specs if spec in self._running and self._running[spec].is_dead]
            stopping = [self._running.pop(spec) for spec in dead]
            missing = [spec for spec in specs if spec not in self._running]
            stale = self._idle_beside(specs) if any(s.is_started for s in missing) else []
            stopping += [self._running.pop(spec) for spec in stale]
        opened: dict[EngineSpec, _Running] = {}
        try:
            self._stop(stopping)
            for spec in missing:
                opened[spec] = self._open(spec)
        except BaseException:
            self._stop(opened.values())
            opened.clear()
            raise
        finally:
            with self._changed:
                self._running |= opened
                self._is_changing = False
                self._changed.notify_all()
                if len(opened) == len(missing):
                    held = {spec: self._running[spec] for spec in specs}
                    for each in held.values():
                        each.held += 1
        return held

    def _release(self, specs: Iterable[EngineSpec]) -> None:
        with self._changed:
            for spec in specs:
                if spec in self._running:  # they are not after `close`
                    self._running[spec].held -= 1
            self._changed.notify_all()

    def _wait_for_turn(self, specs: list[EngineSpec]) -> None:
        deadline: float | None = None
        while True:
            if self._is_closed:
                raise EngineGone("the engines of this process are closed")
            if self._is_changing:
                self._changed.wait()
            elif blocker := self._in_the_way(specs):
                now = time.monotonic()
                deadline = deadline or now + TURN_S
                if now >= deadline:
                    raise EngineGone(
                        f"{_called(blocker)} is in use for longer than {TURN_S:.0f} s and no other "
                        "is started beside it: give one of them a URL"
                    )
                self._changed.wait(deadline - now)
            else:
                return

    def _in_the_way(self, specs: list[EngineSpec]) -> EngineSpec | None:
        """A held engine beside which what is missing cannot be started, or that has died."""
        for spec in specs:
            if (running := self._running.get(spec)) and running.held and running.is_dead:
                return spec
        missing = [spec for spec in specs if spec.is_started and spec not in self._running]
        for spec, running in self._running.items():
            if running.held and spec.is_started and spec not in specs:
                for new in missing:
                    if not (new.is_embedded and spec.is_embedded):
                        return spec
        return None

    def _idle_beside(self, specs: list[EngineSpec]) -> list[EngineSpec]:
        return [
            spec
            for spec, running in self._running.items()
            if spec.is_started and not running.held and spec not in specs
        ]

    def _open(self, spec: EngineSpec) -> _Running:
        server = self._start(spec) if spec.is_started else None
        try:
            engine = self.run(connect(spec, server.url if server else spec.url, self.meter))
        except BaseException:
            if server:
                server.close()
            raise
        if isinstance(server, Seat) and isinstance(engine, OpenAIEngine):
            asyncio.run_coroutine_threadsafe(_share(engine, server), self.loop)
        return _Running(engine, server, spec.slots)

    def _start(self, spec: EngineSpec) -> Server:
        if self._machine:
            how = (spec.arguments, spec.adapter, spec.serve, spec.served_adapters)
            key = repr((spec.kind, spec.model, spec.slots, *how))
            return self._machine.join(key, partial(_command, spec))
        model = _model(spec)
        if spec.is_embedded:
            return LlamaCppServer(Path(model), adapter_path(spec), slots=spec.slots)
        if self._log is None:
            with tempfile.NamedTemporaryFile(
                prefix="spar-engine-", suffix=".log", delete=False
            ) as log:
                self._log = Path(log.name)
        if spec.serve:
            port = free_port()
            return ProcessServer(_command(spec, port), port, self._log)
        arguments = _vllm_arguments(spec)
        return VllmServer(model, self._log, name=spec.model, slots=spec.slots, arguments=arguments)

    def _stop(self, running: Iterable[_Running]) -> None:
        for each in running:
            try:
                self.run(each.engine.close())
            finally:
                if each.server:
                    each.server.close()


def _refuse(specs: list[EngineSpec]) -> None:
    """Refuse what can never be up together."""
    for spec in specs:
        if spec.kind == "openai" and not (spec.url or spec.serve):
            raise EngineGone("--engine openai needs --engine_url")
    servers = [spec for spec in specs if spec.is_started and not spec.is_embedded]
    if len(servers) > 1:
        raise EngineGone(
            f"{' and '.join(map(_called, servers))} would share one GPU: give one of them a URL"
        )


def _command(spec: EngineSpec, port: int) -> Command:
    """How the server of an engine is started that several processes share."""
    model = _model(spec)
    if spec.serve:
        return serve_command.command(spec.serve, model, port, slots=spec.slots, key=spec.key)
    if spec.kind == "llamacpp":
        return llamacpp.command(Path(model), adapter_path(spec), port, slots=spec.slots)
    arguments = _vllm_arguments(spec)
    return vllm.command(model, port, name=spec.model, slots=spec.slots, arguments=arguments)


def _vllm_arguments(spec: EngineSpec) -> list[str]:
    """The arguments of vLLM's server that are this engine's: its adapters, then the user's own."""
    return [*adapter_arguments(spec.served_adapters), *shlex.split(spec.arguments)]


def _model(spec: EngineSpec) -> str:
    """The model of a server that is started, on this machine, or the name its server knows."""
    if is_fetched(spec):
        return str(fetching.fetched(spec.model))
    return str(bundled_model()) if spec.is_embedded and not spec.model else spec.model


async def _share(engine: OpenAIEngine, seat: Seat) -> None:
    """Keep to our part of a server's slots, while others come and go."""
    while not seat.is_closed:
        seat.count()
        engine.share(seat.sharers)
        await asyncio.sleep(_COUNT_S)


def _called(spec: EngineSpec) -> str:
    return f"{spec.kind} with {spec.model or 'the bundled model'}"
