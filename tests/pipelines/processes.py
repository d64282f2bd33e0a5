"""Jobs in processes of their own that begin at once: forked from a server that has all loaded.

`python -m pipelines.refine` imports Beam, DuckDB and the jobs for seconds before it does anything.
A server, one for each process of tests, imports them once, starts no thread that would be missing
in a fork, and forks a process for every job. What is forked leaves the server's loop, becomes the
job as `python -m` would (its arguments, folder, environment, path, streams, SIGINT, process group)
and ends as the interpreter does: threads are waited for, exit functions run, the code is the job's.
`test_processes.py` holds it to the same lines and codes as `python -m`.

Run as `python -m tests.pipelines.processes SOCKET`, SOCKET being an open file that was inherited.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import itertools
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_LOADED = (
    "apache_beam.runners.portability.fn_api_runner",
    "evaluation.stages",
    "pipelines.execution.job",
    "pipelines.iterations",
    "schemas.views",
    "spar_core.methods",
)
"""What jobs import; no job itself, which is the main module of its process."""

_LOOK_S = 0.02
"""The server looks so often whether a process has ended."""


def start(
    job: str,
    *argv: str,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    file_blocks: int | None = None,
    has_own_group: bool = False,
) -> Process:
    """Start `python -m JOB ARGV` in a folder.

    Args:
        environment: variables beside those of this process.
        file_blocks: no file may grow over so many KiB, as if the disk were full.
        has_own_group: whether it leads a session and a process group.
    """
    asked = {
        "job": job,
        "argv": argv,
        "folder": str(folder),
        "environment": {**os.environ, **(environment or {})},
        "file_blocks": file_blocks,
        "has_own_group": has_own_group,
    }
    return _server().start(asked)


class Process:
    """A job that was started; used as a `subprocess.Popen` in text mode."""

    def __init__(
        self, server: _Server, number: int, pid: int, args: Sequence[str], *streams: int
    ) -> None:
        self.pid = pid
        self.args = [*args]
        self.returncode: int | None = None
        self._server, self._number = server, number
        self._said = ["", ""]
        self._readers = [
            threading.Thread(target=self._read, args=(number, stream), daemon=True)
            for number, stream in enumerate(streams)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, number: int, stream: int) -> None:
        with open(stream, encoding="utf-8", errors="replace") as file:
            self._said[number] = file.read()

    def poll(self) -> int | None:
        """The exit code, of a signal the negative number; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.code(self._number, 0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = self._server.code(self._number, min(left, 1.0))
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end, and that of all who hold its streams; what it said on them."""
        self.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return self._said[0], self._said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Server:
    """The server as its client sees it."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._told: dict[int, dict[str, int]] = {}
        self._held = b""
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._close)

    def _close(self) -> None:
        self._socket.close()  # it ends then, and its processes with it
        self._process.wait(120)

    def start(self, asked: Mapping[str, Any]) -> Process:
        number = next(self._numbers)
        text = json.dumps({**asked, "number": number}).encode()
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        with self._lock:
            socket.send_fds(self._socket, [len(text).to_bytes(8, "big")], [out_end, err_end])
            self._socket.sendall(text)
        os.close(out_end)
        os.close(err_end)
        pid = self._wait_for(number, "pid", 120.0)
        if pid is None:
            raise TimeoutError("the server of processes does not answer")
        args = [sys.executable, "-m", asked["job"], *asked["argv"]]
        return Process(self, number, pid, args, out, err)

    def code(self, number: int, timeout_s: float) -> int | None:
        """The exit code of a process; None where it goes on for so long."""
        return self._wait_for(number, "code", timeout_s)

    def _wait_for(self, number: int, what: str, timeout_s: float) -> int | None:
        """What the server tells of a process; None where it does not in time."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            while what not in self._told.get(number, {}):
                left = max(0.0, deadline - time.monotonic())
                if not select.select([self._socket], [], [], left)[0]:
                    return None
                more = self._socket.recv(1 << 16)
                if not more:
                    raise ConnectionError("the server of processes has ended")
                *lines, self._held = (self._held + more).split(b"\n")
                for line in lines:
                    told = json.loads(line)
                    self._told.setdefault(told["number"], {}).update(told)
            return self._told[number][what]


@functools.cache
def _server() -> _Server:
    return _Server()


# From here on the server itself.


def _serve(client: socket.socket) -> dict[str, Any] | None:
    """Fork a process for whatever is asked; returns in each of them what it is to become.

    None in the server, when its client is gone.
    """
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([client], [], [], _LOOK_S if running else None)
        for pid, number in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                _tell(client, number=number, code=os.waitstatus_to_exitcode(status))
        if not ready:
            continue
        size, streams, _, _ = socket.recv_fds(client, 8, 2)
        if not size:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return None
        asked: dict[str, Any] = json.loads(_received(client, int.from_bytes(size, "big")))
        pid = os.fork()
        if not pid:
            client.close()
            for end, stream in zip(streams, (1, 2), strict=True):
                os.dup2(end, stream)
                os.close(end)
            return asked
        for end in streams:
            os.close(end)
        running[pid] = asked["number"]
        _tell(client, number=asked["number"], pid=pid)


def _tell(client: socket.socket, **told: int) -> None:
    with contextlib.suppress(OSError):  # a client that is gone is seen at the next look
        client.sendall(json.dumps(told).encode() + b"\n")


def _received(client: socket.socket, size: int) -> bytes:
    text = b""
    while len(text) < size:
        text += client.recv(size - len(text))
    return text


def _become(asked: Mapping[str, Any]) -> None:
    """Run a job as the interpreter would that was started for it."""
    if asked["has_own_group"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["folder"])
    ours = [*sys.path[:1], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ.clear()
    os.environ.update(asked["environment"])
    theirs = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:] = [asked["folder"], *theirs, *(each for each in sys.path if each not in ours)]
    sys.argv[:] = ["-m", *asked["argv"]]
    sys.modules.pop(asked["job"], None)
    importlib.invalidate_caches()
    tempfile.tempdir = None  # another folder may be named for it now
    if asked["file_blocks"] is not None:
        size = asked["file_blocks"] * 1024
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    gc.enable()
    runpy.run_module(asked["job"], run_name="__main__", alter_sys=True)


def _main(client: socket.socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _LOADED:
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise RuntimeError(f"threads that a fork would miss: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # so that a fork shares the pages of what is loaded
    asked = _serve(client)
    if asked:
        _become(asked)


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
