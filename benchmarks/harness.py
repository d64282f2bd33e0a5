"""What the measurements share: a simulator and jobs in processes of their own, a clean place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.answers import stream
from schemas.views import connect, named_in

ROOT = Path(__file__).parents[1]


class JobFailed(Exception):
    """A job under measurement ended as it should not."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulator (or another server with its `/stats` and `/reset`) that runs."""

    url: str

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=30) as response:
            stats: dict[str, Any] = json.load(response)
        return stats

    def reset(self) -> None:
        urllib.request.urlopen(f"{self.url}/reset", data=b"", timeout=30).close()


@contextmanager
def simulating(*arguments: str) -> Iterator[Simulator]:
    """A simulator for the time of the body."""
    line = [sys.executable, "-m", "benchmarks.simulator", "--port", "0", *arguments]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or not (said := process.stdout.readline()):
            raise JobFailed("the simulator does not start")
        yield Simulator(json.loads(said)["url"])
    finally:
        process.kill()
        process.wait()


@contextmanager
def engine(url: str, slots: int, speed: float) -> Iterator[Simulator]:
    """The one that runs at a URL, or a simulator with these slots for the time of the body."""
    if url:
        yield Simulator(url)
        return
    with simulating("--slots", str(slots), "--speed", str(speed)) as simulator:
        yield simulator


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for runs, removed in the end."""
    path = Path(tempfile.mkdtemp(prefix="spar-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_prompts(path: Path, count: int) -> Path:
    """Prompts of some 60 words, no two alike."""
    words = "write list story poem in short lower case with about rivers cats trees no commas"
    drawn = stream("prompts")
    with path.open("w") as file:
        for number in range(count):
            text = " ".join(drawn.choices(words.split(), k=drawn.randint(30, 90)))
            file.write(json.dumps({"prompt": f"Task {number}: {text}."}) + "\n")
    return path


def start(job: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """A job as users start it, or another module, its output in a file."""
    module = job.split() if " " in job else [f"pipelines.{job}"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *module, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def begin(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A command in the project's folder, in a process group of its own, its output in a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that `begin` started, and what it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end(process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    """Wait for a command, or kill it where the waiting is broken off.

    Raises:
        JobFailed: it did not end well.
    """
    try:
        process.wait()
    except BaseException:
        kill(process)
        raise
    if process.returncode:
        raise JobFailed(f"{name} ended with {process.returncode}:\n{log.read_text()[-2000:]}")


def within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code of a job that ends in so many seconds; None of one that is killed then."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process and its children."""

    wall_s: float
    cpu_s: float


def run(job: str, *arguments: str, log: Path) -> Cost:
    """Run a job to its end.

    Raises:
        JobFailed: it did not end well.
    """
    began = time.monotonic()
    process = start(job, *arguments, log=log)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise JobFailed(f"{job} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime)


def query(run_folder: Path | str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query over a run's views."""
    with connect(str(run_folder), named_in(sql)) as connection:
        rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        return rows
