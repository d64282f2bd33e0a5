"""A pool of Python workers in processes of their own, as stands beside a runner elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

ROOT = Path(__file__).parents[3]
_MODULE = "apache_beam.runners.worker.worker_pool_main"


class Pool:
    """Starts workers where a runner asks for them.

    Args:
        log: where its workers and it write.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        [self._port] = free_ports(1)
        self._process = self._start()

    @property
    def options(self) -> list[str]:
        """Options of a job whose workers come from here."""
        return ["--environment_type=EXTERNAL", f"--environment_config=localhost:{self._port}"]

    def workers(self) -> list[int]:
        """The workers' processes that live."""
        return [pid for pid in _children(self._process.pid) if _is_alive(pid)]

    def kill_worker(self) -> None:
        """Kill one worker."""
        os.kill(self.workers()[0], signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill all workers and what starts them; another pool comes in its place."""
        end(self._process)
        self._process = self._start()

    def stop(self) -> None:
        end(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        process = run([sys.executable, "-m", _MODULE, f"--service_port={self._port}"], self._log)
        until(lambda: listens(self._port), "a pool of workers")
        return process


def run(line: list[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A process that leads a group of its own; what asks for `python` gets this one."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with log.open("ab") as output:
        return subprocess.Popen(
            line,
            cwd=ROOT,
            env={**os.environ, "PATH": path, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that `run` started, and what it started itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait for something to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come about in time"
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def listens(port: int) -> bool:
    """Whether somebody does, at a port of this machine."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in told for child in path.read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
