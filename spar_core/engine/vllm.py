"""vLLM: a server started and stopped by this process, and the client for any vLLM server."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ChatRequest, EngineGone

START_TIMEOUT_S = 1800.0
CPU_CONTEXT = 4096
"""Longest context served without a GPU."""


class VllmEngine(OpenAIEngine):
    """A vLLM server: holds answers to a grammar by its structured outputs."""

    def _extras(self, request: ChatRequest) -> dict[str, Any]:
        return {"structured_outputs": {"grammar": request.grammar}} if request.grammar else {}


class VllmServer:
    """vLLM's server for a checkpoint, gone when this process is gone (see `guardian`).

    Args:
        model: a folder with a Hugging Face checkpoint, or a name that vLLM can load.
        log: where its output goes.
        slots: sequences decoded at once.
        arguments: more of vLLM's own.

    Raises:
        EngineGone: it does not start; the message has the log's last lines.
    """

    def __init__(
        self, model: str, log: Path, *, slots: int = 256, arguments: Sequence[str] = ()
    ) -> None:
        _check_model(model)
        port = _free_port()
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "spar_core.engine.guardian"),
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", model, "--served-model-name", model),
            *("--host", "127.0.0.1", "--port", str(port), "--max-num-seqs", str(slots)),
            # Sampling is ours to set, and a grammar must mean the same to every server.
            *("--generation-config", "vllm", "--structured-outputs-config.backend", "xgrammar"),
            *(() if _has_gpu() else _cpu_arguments(model)),
            *arguments,
        ]
        with log.open("ab") as output:
            self._start = output.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=_environment(model),
            )
        self.url = f"http://127.0.0.1:{port}"
        try:
            self._wait_until_up(model, log)
        except BaseException:
            self.close()
            raise

    def _wait_until_up(self, model: str, log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EngineGone(
                    f"vLLM did not start with {model} (exit code {self._process.returncode}): "
                    f"{_last_error(log, self._start)}\nAll it said is in {log}"
                )
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"{self.url}/health", timeout=5),
            ):
                return
            time.sleep(0.5)
        raise EngineGone(f"vLLM did not answer in {START_TIMEOUT_S:.0f} s; see {log}")

    def close(self) -> None:
        """Stop the server and all it started."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()


def check(model: str) -> None:
    """See that the package and the model's folder are there; other names are vLLM's to look up.

    Raises:
        EngineGone: one is not.
    """
    _check_model(model)
    if importlib.util.find_spec("vllm") is None:
        raise EngineGone(
            "--engine vllm needs the package vllm: pip install vllm (or --engine_url of a server)"
        )


def _check_model(model: str) -> None:
    if not model:
        raise EngineGone("--engine vllm needs --model FOLDER (or --engine_url of a server)")
    if model.startswith(("/", ".", "~")) and not Path(model).is_dir():
        raise EngineGone(f"no model folder at {model}")


def context(model: str, arguments: Sequence[str] = ()) -> int | None:
    """The longest context that a started server will serve; None where only vLLM knows."""
    for word, after in itertools.pairwise([*arguments, ""]):
        flag, _, given = word.partition("=")
        if flag.replace("_", "-") == "--max-model-len":
            said = given or after
            return int(said) if said.isdecimal() else None
    own = _context_of(model)
    return own if _has_gpu() else min(own or CPU_CONTEXT, CPU_CONTEXT)


def _context_of(model: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        config = json.loads((Path(model) / "config.json").read_text())
        return int(config["max_position_embeddings"])
    return None


def _has_gpu() -> bool:
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd"))


def _cpu_arguments(model: str) -> list[str]:
    """What vLLM 0.32 needs without a GPU: it starts five times as fast without compiling, and a
    prefill in chunks crashes it when a request has a seed."""
    longest = str(min(_context_of(model) or CPU_CONTEXT, CPU_CONTEXT))
    return [
        *("--enforce-eager", "--no-enable-chunked-prefill"),
        *("--max-model-len", longest, "--max-num-batched-tokens", longest),
    ]


def _environment(model: str) -> dict[str, str]:
    defaults = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "2"}
    if Path(model).exists():
        defaults["HF_HUB_OFFLINE"] = "1"
    return {**defaults, **os.environ}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_error(log: Path, start: int) -> str:
    """The line of the log that names the error, as far as one can tell."""
    with log.open("rb") as opened:
        opened.seek(start)
        lines = opened.read().decode(errors="replace").splitlines()
    named = [line for line in lines if "Error" in line or "error:" in line]
    return (named or lines or ["no output"])[-1].strip()
