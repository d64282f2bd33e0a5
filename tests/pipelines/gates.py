"""Engines that stop answering at a moment of a run's, and jobs that are killed there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.loopback import Answer, Body
from tests.pipelines.processes import Process
from tests.pipelines.rounds import commits, story

Begin = Callable[..., Process]
"""`rounds.start`, whose processes do not outlive the test."""


class Gate:
    """Plays a script, but answers nobody once a stage of a run has so many commits."""

    def __init__(self, run: Path, script: Callable[[Body], Answer] = story) -> None:
        self._run = run
        self._script = script
        self._stage, self._enough = "", 0
        self._changes = 0
        self.shut = threading.Event()
        self.wait_s = 0.0

    def set(self, stage: str, enough: int) -> None:
        self.shut.clear()
        self._stage, self._enough = stage, enough
        self._changes += 1

    def open(self) -> None:
        self.set("", 0)

    async def _play(self, body: Body) -> Answer:
        if self._stage and commits(self._run, self._stage) >= self._enough:
            self.shut.set()
            changes = self._changes
            while changes == self._changes:
                await asyncio.sleep(0.02)
        await asyncio.sleep(self.wait_s)
        return self._script(body)

    def __call__(self, body: Body) -> Answer:
        return self._play(body)  # type: ignore[return-value]


def finish(process: Process) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that should end by itself.

    What it says of its progress is left out: a busy machine makes it say that.
    """
    out, err = process.communicate(timeout=500)
    assert process.returncode is not None
    return process.returncode, out, "".join(_without_progress(err))


def _without_progress(err: str) -> Iterator[str]:
    return (line for line in err.splitlines(keepends=True) if " s so far" not in line)


def kill(process: Process) -> None:
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
