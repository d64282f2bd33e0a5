"""Engines that stop answering at a moment of a run's, and jobs that are killed there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

from tests.loopback import Answer, Body
from tests.pipelines.rounds import commits, story

Begin = Callable[..., Popen[str]]
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


def finish(process: Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that should end by itself."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def kill(process: Popen[str]) -> None:
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
