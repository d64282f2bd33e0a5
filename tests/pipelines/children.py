"""What `pipelines.iterate` starts, done in this process, and a place for it."""

from __future__ import annotations

import fcntl
import itertools
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from pipelines import bootstrap, evaluate, evolve, refine
from schemas.prompts import Prompt
from schemas.responses import Response, SamplingRecord
from spar_core.ids import prompt_id
from tests import committed
from tests.loopback import LoopbackServer
from tests.pipelines import rounds, standins
from tests.pipelines.processes import Process

EVOLVED = [f"evolved {n}" for n in range(8)]
"""What seeds become where nothing is evolved."""


_JOBS = {
    "refine": refine.main,
    "evolve": evolve.main,
    "bootstrap": bootstrap.main,
    "evaluate": evaluate.main,
}


_CONVERSIONS = ("gguf_checkpoint", "checkpoint_gguf")


class Children:
    """What the job starts, done here: jobs on a loopback server, trainings by stand-ins.

    server: of whatever models it is asked for; None for rounds that do nothing, prompts that are
    evolved of nothing and a teacher that only has them answered.
    pretended: jobs that do nothing although there is a server.
    ends: the code that the child of a number (from 0) ends with instead of doing its work.
    """

    def __init__(
        self, server: LoopbackServer | None = None, pretended: Collection[str] = ()
    ) -> None:
        self._server = server
        self._pretended = pretended
        self.commands: list[list[str]] = []
        self.checked: list[list[str]] = []
        self.ends: dict[int, int] = {}

    def __call__(self, command: Sequence[str], keep: Sequence[int] = ()) -> int:
        assert keep, "the child holds the lock"
        if "--check" in command:
            self.checked.append(list(command))
            return standins.train("", command)
        number = len(self.commands)
        self.commands.append(list(command))
        if number in self.ends:
            return self.ends[number]
        name, argv = _parted(command)
        if name in _JOBS:
            return self._job(name, argv)
        if name in _CONVERSIONS:
            return _converted(name, dict(itertools.pairwise(argv)))
        return standins.train(name, argv)

    def _job(self, name: str, argv: list[str]) -> int:
        given = dict(itertools.pairwise(argv))
        if self._server is None or name in self._pretended:
            return _pretend(name, given)
        self._server.models = [
            given[role] for role in ("--actor_model", "--refiner_model") if role in given
        ]
        at = [] if name == "evolve" else ["--engine_url", self._server.url]
        return _JOBS[name]([*argv, *at])

    def done(self) -> list[str]:
        """What was started, in short: its name, its iteration and its models."""
        told = []
        for command in self.commands:
            name, argv = _parted(command)
            given = dict(itertools.pairwise(argv))
            where = given.get("--iteration") or given.get("--where", "")
            where = where.removeprefix("iteration = ")
            roles: Sequence[str] = ("--actor_model", "--refiner_model")
            if "--output" in given:
                roles = ("--model", "--output")
            models = [Path(given[role]).name for role in roles if role in given]
            told.append(" ".join(filter(None, [name, where, *models])))
        return told


def _parted(command: Sequence[str]) -> tuple[str, list[str]]:
    """A command's job and its arguments."""
    start = command.index("-m")
    return command[start + 1].rpartition(".")[2], list(command[start + 2 :])


def _converted(name: str, given: dict[str, str]) -> int:
    """As if a model had been converted."""
    if name == "gguf_checkpoint":
        standins.checkpoint(Path(given["--output"]), f"of {given['--model']}")
        return 0
    assert (Path(given["--model"]) / "config.json").is_file()
    Path(given["--output"]).write_text(f"{given['--model']} like {given['--like']}")
    return 0


def _pretend(name: str, given: dict[str, str]) -> int:
    """As if a job had done its work, as far as others see it."""
    run, keys = Path(given["--run"]), [prompt_id(prompt) for prompt in EVOLVED]
    drawn = SamplingRecord(1.0, 1.0, 9, 0)
    wanted = int(given.get("--limit", 0)) or len(keys)
    tables = {
        "evolve": ("prompts", [Prompt(keys[n], EVOLVED[n], "seed", n) for n in range(len(keys))]),
        "bootstrap": (
            "responses",
            [Response(f"i0.{key}.r0", key, "", "", drawn, "stop", 1, 1) for key in keys[:wanted]],
        ),
    }
    if name in tables:
        table, rows = tables[name]
        if not (run / table / "iteration=0").exists():
            committed.commit(run, table, rows, iteration=0)
    return 0


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder the current one: with stand-ins, a model `base` and a file of prompts."""
    standins.install(folder)
    standins.checkpoint(folder / "base", "base")
    rounds.write_prompts(folder / "prompts.jsonl", rounds.PROMPTS[:4])
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


def flat(text: str) -> str:
    return " ".join(text.split())


def wait_for(path: Path, process: Process) -> None:
    """Until a file is there and whole."""
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_free(run: Path) -> bool:
    """Whether no process of a job is left, its children included: all of them hold its lock."""
    with (run / "models/.lock").open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def wait_until_free(run: Path) -> None:
    """Until no process of a job is left that was killed."""
    deadline = time.monotonic() + 120
    while not is_free(run):
        assert time.monotonic() < deadline, "what it started goes with it"
        time.sleep(0.05)
