"""Compat: what the jobs still use of the one engine a process had."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from spar_core.engine.engines import Engines
from spar_core.engine.meter import Meter
from spar_core.engine.spec import EngineSpec, Kind, identity, model_path

__all__ = ["METER", "EngineSpec", "Host", "Kind", "close", "host_for", "identity", "model_path"]

T = TypeVar("T")
METER = Meter()
_lock = threading.Lock()
_engines: Engines | None = None


class Host:
    """One engine of the process's."""

    def __init__(self, spec: EngineSpec) -> None:
        global _engines
        with _lock:
            if _engines is None:
                _engines = Engines()
                _engines.meter = METER
            self._engines = _engines
        self.loop = self._engines.loop
        with self._engines.using({"": spec}) as lease:
            self.engine = lease.engines[""]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._engines.run(coroutine)

    def close(self) -> None:
        """The engines stay."""


def host_for(spec: EngineSpec) -> Host:
    return Host(spec)


def close() -> None:
    global _engines
    engines, _engines = _engines, None
    if engines:
        engines.close()
