"""vLLM: a server started and stopped by this process, and the client for any vLLM server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from spar_core.engine.openai import OpenAIEngine
from spar_core.engine.protocol import ChatRequest, EngineGone

START_TIMEOUT_S = 1800.0
_STOP_TIMEOUT_S = 20.0


class VllmEngine(OpenAIEngine):
    """A vLLM server: holds answers to a grammar by its structured outputs."""

    def _extras(self, request: ChatRequest) -> dict[str, Any]:
        return {"structured_outputs": {"grammar": request.grammar}} if request.grammar else {}


class VllmServer:
    """`vllm serve` for a checkpoint folder, in a process group of its own.

    Args:
        model: a folder with a Hugging Face checkpoint, or a name vLLM can load.
        log: where its output goes.

    Raises:
        EngineGone: it does not start; the message has the log's last lines.
    """

    def __init__(self, model: str, log: Path) -> None:
        if not model:
            raise EngineGone("--engine vllm needs --model FOLDER (or --engine_url of a server)")
        port = _free_port()
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", model, "--host", "127.0.0.1", "--port", str(port)),
            *("--generation-config", "vllm", "--enable-prefix-caching"),
        ]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, process_group=0
            )
        self.url = f"http://127.0.0.1:{port}"
        try:
            self._wait_until_up(log)
        except BaseException:
            self.close()
            raise

    def _wait_until_up(self, log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EngineGone(
                    f"vLLM did not start (exit code {self._process.returncode}); "
                    f"the end of {log}:\n{_tail(log)}"
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
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
