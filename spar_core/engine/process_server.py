"""A server in a process of its own that ends with the process that started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spar_core.engine.machine import START_TIMEOUT_S, Command, wait_until_up
from spar_core.engine.start_failure import why_not_up


class ProcessServer:
    """A server that this process starts, keeps under a guardian (`guardian`) and stops.

    Args:
        command: how it is started.
        port: where it listens on loopback.
        log: the file to which its output is appended.
        timeout_s: how long it may take until it answers.

    Raises:
        EngineGone: it does not start; the message names the cause.
    """

    def __init__(
        self, command: Command, port: int, log: Path, *, timeout_s: float = START_TIMEOUT_S
    ) -> None:
        self._command, self._log = command, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._start = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spar_core.engine.guardian", *command.words],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=dict(command.environment),
            )
        self.url = f"http://127.0.0.1:{port}"
        try:
            wait_until_up(self, command.name, log, timeout_s)
        except BaseException:
            self.close()
            raise

    @property
    def is_up(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def why_not(self) -> str:
        """Return why it did not come up."""
        code = str(self._process.returncode)
        said = why_not_up(self._command.name, code, self._log, self._start)
        return f"{said}\nAll it said is in {self._log}"

    def close(self) -> None:
        """Stop the server and all that it started."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
