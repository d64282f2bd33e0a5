"""vLLM: a server started and stopped by this process, and the client for any vLLM server."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spar_core.engine.fetching import configuration, is_url
from spar_core.engine.machine import START_TIMEOUT_S, Command, free_port
from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.process_server import ProcessServer
from spar_core.engine.protocol import ChatRequest, EngineGone
from spar_core.engine.reasoning_parsers import parser_arguments
from terminal.packages import missing

CPU_CONTEXT = 4096
"""Longest context served without a GPU."""

CPU_INFO = Path("/proc/cpuinfo")
"""Where Linux tells what a CPU can do."""


class VllmEngine(OpenAIEngine):
    """A vLLM server: holds answers to a grammar by its structured outputs."""

    server = "vllm"

    def _extras(self, request: ChatRequest) -> dict[str, Any]:
        return {"structured_outputs": {"grammar": request.grammar}} if request.grammar else {}


class VllmServer(ProcessServer):
    """vLLM's server for a checkpoint, gone when this process is gone (see `guardian`).

    Args:
        model: a folder with a Hugging Face checkpoint, or a name that vLLM can load.
        log: where its output goes.
        name: what clients call the model; "" for what it is called here.
        slots: sequences decoded at once.
        arguments: more of vLLM's own.

    Raises:
        EngineGone: it does not start; the message names the cause.
    """

    def __init__(
        self,
        model: str,
        log: Path,
        *,
        name: str = "",
        slots: int = 256,
        arguments: Sequence[str] = (),
    ) -> None:
        port = free_port()
        made = command(model, port, name=name, slots=slots, arguments=arguments)
        super().__init__(made, port, log, timeout_s=START_TIMEOUT_S)


def command(
    model: str, port: int, *, name: str = "", slots: int = 256, arguments: Sequence[str] = ()
) -> Command:
    """How vLLM's server for a checkpoint is started (see `VllmServer`).

    Raises:
        EngineGone: there is no such checkpoint.
    """
    check_model(model)
    words = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", model, "--served-model-name", name or model),
        *("--host", "127.0.0.1", "--port", str(port), "--max-num-seqs", str(slots)),
        # Sampling is ours to set, and a grammar must mean the same to every server.
        *("--generation-config", "vllm", "--structured-outputs-config.backend", "xgrammar"),
        *(() if _has_gpu() else _cpu_arguments(model)),
        *parser_arguments(model, arguments),
        *arguments,
    ]
    return Command(f"vLLM with {name or model}", words, _environment(model), bears_others=False)


def check_package() -> None:
    """See that the package is there.

    Raises:
        EngineGone: it is not.
    """
    if importlib.util.find_spec("vllm") is None:
        said = missing("--engine vllm", "vllm", "vllm")
        raise EngineGone(f"{said} (or --engine_url of a server)")


def check_model(model: str, *, is_here: bool = True) -> None:
    """See that the model's folder is there; other names are vLLM's to look up.

    Args:
        is_here: whether the folder is to be on this machine.

    Raises:
        EngineGone: it is not, or none is named.
    """
    if not model:
        raise EngineGone("--engine vllm needs --model FOLDER (or --engine_url of a server)")
    if is_here and model.startswith(("/", ".", "~")) and not Path(model).is_dir():
        raise EngineGone(f"no model folder at {model}")


def context(model: str, arguments: Sequence[str] = (), *, is_here: bool = True) -> int | None:
    """The longest context that a started server will serve; None where only vLLM knows.

    Args:
        is_here: whether it is started on this machine, whose hardware we see.
    """
    for word, after in itertools.pairwise([*arguments, ""]):
        flag, _, given = word.partition("=")
        if flag.replace("_", "-") == "--max-model-len":
            said = given or after
            return int(said) if said.isdecimal() else None
    own = _context_of(model)
    return own if not is_here or _has_gpu() else min(own or CPU_CONTEXT, CPU_CONTEXT)


def _context_of(model: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        file = Path(model) / "config.json"
        config = configuration(model) if is_url(model) else json.loads(file.read_text())
        return int(config["max_position_embeddings"])
    return None


def _has_gpu() -> bool:
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd"))


def _cpu_arguments(model: str) -> list[str]:
    """What vLLM 0.32 needs without a GPU: it starts five times as fast without compiling, and a
    prefill in chunks crashes it when a request has a seed. A CPU that has no instructions for
    bfloat16 decodes a quarter as fast in it as in float32."""
    longest = str(min(_context_of(model) or CPU_CONTEXT, CPU_CONTEXT))
    return [
        *("--enforce-eager", "--no-enable-chunked-prefill"),
        *("--max-model-len", longest, "--max-num-batched-tokens", longest),
        *(() if computes_bfloat16() else ("--dtype", "float32")),
    ]


def computes_bfloat16() -> bool:
    """Whether this machine's CPU has instructions for bfloat16, as far as Linux tells."""
    try:
        words = set(CPU_INFO.read_text().split())
    except OSError:
        return True
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def _environment(model: str) -> dict[str, str]:
    # Of two cores vLLM would keep one free, which decodes a third more slowly.
    cores = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    defaults = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "2", **cores}
    if Path(model).exists():
        defaults["HF_HUB_OFFLINE"] = "1"
    return {**defaults, **os.environ}
