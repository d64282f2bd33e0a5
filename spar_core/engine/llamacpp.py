"""llama.cpp: the embedded server (package xllamacpp), and the client for any llama.cpp server."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spar_core.engine.bundled import BUNDLED_ADAPTER, BUNDLED_MODEL
from spar_core.engine.completions import written
from spar_core.engine.lora import check_adapter
from spar_core.engine.machine import Command
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ChatRequest, EngineGone
from spar_core.engine.start_failure import out_of_memory
from terminal.packages import extra, missing

BUNDLED_CONTEXT = 2048
"""Tokens of a sequence that the bundled model was trained for; llama.cpp gives it no more."""

CONTEXT = 2048
"""Tokens a slot, prompt and answer; a sequence may use those of others while they are free."""

_NOTHING, _ERRORS = -1, 1
"""How much llama.cpp writes to standard error."""

_LOAD_S = 120.0
"""How long a model is loaded again to learn why it could not be."""

_SPINS, _SPIN_COUNT = "GOMP_SPINCOUNT", "1000"
"""For how many rounds a waiting thread spins before it sleeps; some 50 microseconds."""


class LlamaCppEngine(OpenAIEngine):
    """A llama.cpp server: takes GBNF grammars, and counts only the first choice's tokens."""

    server = "llamacpp"

    def _extras(self, request: ChatRequest) -> dict[str, Any]:
        return {"grammar": request.grammar} if request.grammar else {}

    async def _tokens(self, choices: list[dict[str, Any]], total: int) -> list[int]:
        counts = [total]  # this server tells those of the first choice
        for choice in choices[1:]:
            body = {"content": written(choice)}
            async with self._session.post(f"{self._endpoint.root}/tokenize", json=body) as response:
                tokens = len((await response.json())["tokens"])
            counts.append(tokens + (choice.get("finish_reason") == "stop"))
        return counts


class LlamaCppServer:
    """A llama.cpp server inside this process, listening on loopback; gone when closed.

    Args:
        model: a GGUF file.
        adapter: a LoRA adapter (GGUF), applied to it at load; the bundled one merged into it.
        slots: sequences decoded at once. Measured on 2 cores: 32 gives the most tokens.
        context: tokens a slot, prompt and answer.
        port: where it listens; 0 for where there is room.
        says_errors: whether llama.cpp writes its errors to standard error.

    Raises:
        EngineGone: the model cannot be loaded; the message says so where memory runs out.
    """

    is_up = True

    def __init__(
        self,
        model: Path,
        adapter: Path | None = None,
        *,
        slots: int = 32,
        context: int = CONTEXT,
        port: int = 0,
        says_errors: bool = False,
    ) -> None:
        check(model, adapter)
        xllamacpp = _package()
        loaded = f"{model} with {adapter}" if adapter else str(model)
        words = [*_loading(model, adapter), "--slots", str(slots), "--context", str(context)]
        model, adapter = _merged_if_bundled(model, adapter)
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        if adapter:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter))]
        params.port = port
        params.n_parallel = slots
        params.n_ctx = slots * context
        params.kv_unified = True
        params.cache_ram_mib = 1024
        # Of the cores that this process may use. How long threads that wait for others spin is
        # OpenMP's to say (`_package`), where llama.cpp is built with it.
        for threads in (params.cpuparams, params.cpuparams_batch):
            threads.n_threads = _cores()
            threads.poll = 0
        params.verbosity = _ERRORS if says_errors else _NOTHING
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            shortage = "" if says_errors else _shortage(words)
            raise EngineGone(f"llama.cpp cannot load {loaded}: {shortage or error}") from None
        self.url: str = self._server.listening_address

    def close(self) -> None:
        del self._server


def _merged_if_bundled(model: Path, adapter: Path | None) -> tuple[Path, Path | None]:
    """The files to load: of the bundled model and adapter the two merged, which is faster."""
    if (model.name, adapter) == (BUNDLED_MODEL, BUNDLED_ADAPTER):
        from spar_core.engine.merged_model import merged  # NumPy comes with it

        # Where it cannot be written, both are loaded as they are.
        with contextlib.suppress(OSError, ValueError):
            return merged(model, BUNDLED_ADAPTER), None
    return model, adapter


def _package() -> Any:
    """The package xllamacpp, imported.

    GNU OpenMP reads when it is loaded for how long a thread spins that waits for others. By default
    that is long, at each of the many barriers of a step: on cores that are busy with other
    processes too, most of the CPU time goes there.

    Raises:
        EngineGone: it does not work here.
    """
    is_said = bool({_SPINS, "OMP_WAIT_POLICY"} & {*os.environ})
    try:
        if not is_said:
            os.environ[_SPINS] = _SPIN_COUNT
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        raise EngineGone(f"the package xllamacpp does not work here: {error}") from None
    finally:
        if not is_said:
            os.environ.pop(_SPINS, None)


def _loading(model: Path, adapter: Path | None) -> list[str]:
    """The command line of `main` for a model, as far as its files go."""
    words = [sys.executable, "-m", "spar_core.engine.llamacpp", "--model", str(model)]
    return words + (["--adapter", str(adapter)] if adapter else [])


def _shortage(words: Sequence[str]) -> str:
    """Whether memory ran out, as llama.cpp says while a process of its own loads the same again.

    Its errors go to standard error, which this process shares with others.
    """
    try:
        tried = subprocess.run(
            [*words, "--port", "0", "--only_load"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_LOAD_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return out_of_memory(tried.stderr.decode(errors="replace").splitlines())


def command(model: Path, adapter: Path | None, port: int, *, slots: int) -> Command:
    """How a server in a process of its own is started, for several to share.

    Raises:
        EngineGone: the package or a file is not there.
    """
    check(model, adapter)
    words = [
        *_loading(model, adapter),
        *("--port", str(port), "--slots", str(slots)),
    ]
    return Command(f"llama.cpp with {model.name}", words, os.environ, bears_others=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, default=CONTEXT)
    parser.add_argument("--only_load", action="store_true")
    options = parser.parse_args(argv)
    try:
        server = LlamaCppServer(
            options.model,
            options.adapter,
            slots=options.slots,
            context=options.context,
            port=options.port,
            says_errors=True,
        )
    except EngineGone as gone:
        sys.stderr.write(f"error: {gone}\n")
        return 1
    if options.only_load:
        return 0
    sys.stderr.write(f"llama.cpp serves {options.model} at {server.url}\n")
    signal.pause()
    return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(model: Path, adapter: Path | None = None) -> None:
    """See that the package and the files are there, and that the adapter is one for the model.

    Raises:
        EngineGone: they are not.
    """
    check_package()
    if not model.is_file():
        raise EngineGone(f"no model file at {model}: --model takes a GGUF file")
    if adapter:
        check_adapter(model, adapter)


def check_package() -> None:
    """See that the package is there.

    Raises:
        EngineGone: it is not.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineGone(missing("--engine llamacpp", "xllamacpp", extra("local")))


def context(model: Path, slots: int) -> int:
    """More tokens than this no sequence of an embedded server can have."""
    return min(BUNDLED_CONTEXT, slots * CONTEXT) if model.name == BUNDLED_MODEL else slots * CONTEXT


if __name__ == "__main__":
    sys.exit(main())
