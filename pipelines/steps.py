"""The steps of iterations: each a program that does its work, and a note of it in a record."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.execution import child, child_end
from pipelines.execution.child import ChildEnded
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.iterate_options import Loop
from pipelines.iterations import Record, Role, roles, rows
from schemas.table import MAIN
from terminal.console import Console
from terminal.exits import (
    NOTHING_LEFT,
    STOPPED,
    InputError,
)


@dataclass(frozen=True, slots=True)
class Steps:
    """Does the steps of a run, one after another.

    lock: the open file of the run's lock, which the programs hold too.
    """

    loop: Loop
    session: Session
    lock: int
    out: Console

    @contextmanager
    def noted(self, iteration: int, record: Record) -> Iterator[None]:
        """Write the record after a step, however it ends."""
        if self.session.is_pressed:
            raise RunStopped(INTERRUPTED)
        began = time.monotonic()
        try:
            yield
        finally:
            record.seconds += time.monotonic() - began
            self.loop.models.write(iteration, record)

    def run(self, command: Sequence[str], what: str) -> None:
        """Run a program that has to do its work.

        Raises:
            ChildEnded, RunStopped: it did not.
        """
        child_end.check(child.run(command, [self.lock]), what, self.session)

    def train(self, iteration: int, record: Record) -> None:
        """Make the next model of each role that has none yet; it stays where nothing is learnt."""
        for role in roles(iteration):
            if role.name not in record.trained:
                with self.noted(iteration, record):
                    record.trained[role.name] = self._train(role, iteration)

    def _train(self, role: Role, iteration: int) -> list[str] | None:
        """Make the next model of a role; returns what it was trained with, None if it stays."""
        loop, model = self.loop, self.model(role, iteration)
        folder, arguments = loop.models.made(role, iteration), loop.arguments[role]
        start = self.checkpoint(role, iteration)
        if rows(loop.run, role.table, iteration):
            self.announce(iteration, f"{role.training} makes {folder} of {start}")
            given = ["--data", loop.run, "--where", f"iteration = {iteration}"]
            given += [*role.given, "--variant", MAIN]
            given += ["--model", start, "--output", str(folder)]
            command = [*loop.launch, "-m", role.training, *given, *arguments]
            code = child.run(command, [self.lock])
            if code != NOTHING_LEFT:
                child_end.check(code, f"{role.training} of iteration {iteration}", self.session)
                if not (folder / "config.json").is_file():
                    raise ChildEnded(STOPPED, f"{role.training} left no checkpoint in {folder}")
                if loop.models.engine == "llamacpp":
                    self._convert(folder, loop.models.first[role.name])
                return arguments
        self.out.print(
            f"{self.named(iteration)}: no {role.noun} to train on, "
            f"the {role.name} stays {Path(model).name}",
            markup=False,
        )
        return None

    def model(self, role: Role, iteration: int) -> str:
        """The model that plays a role in an iteration, as its engine is given it; it must be there.

        Raises:
            InputError: it is gone.
        """
        models = self.loop.models
        model = models.of(role, iteration)
        if model != models.first[role.name]:
            self._check_there(Path(model), role, iteration)
        return model

    def checkpoint(self, role: Role, iteration: int) -> str:
        """The checkpoint that the training of a role starts from, which must be there.

        Raises:
            InputError: it is gone.
        """
        models = self.loop.models
        model = models.checkpoint(role, iteration)
        if model == models.first_checkpoint(role):
            return self.first_checkpoint(role)
        self._check_there(Path(model), role, iteration)
        return model

    def first_checkpoint(self, role: Role) -> str:
        """The checkpoint of the model to begin with; a GGUF file is converted to one."""
        models = self.loop.models
        model = models.first_checkpoint(role)
        if models.engine == "llamacpp" and not Path(model).is_dir():
            given = ["--model", models.first[role.name], "--output", model]
            name = "training.gguf_checkpoint"
            self.run([sys.executable, "-m", name, *given], name)
        return model

    def _convert(self, checkpoint: Path, like: str) -> None:
        """Write the GGUF file of a checkpoint beside it."""
        served = self.loop.models.served(checkpoint)
        given = ["--model", str(checkpoint), "--like", like, "--output", str(served)]
        name = "training.checkpoint_gguf"
        self.run([sys.executable, "-m", name, *given], name)

    def _check_there(self, model: Path, role: Role, iteration: int) -> None:
        if not (model.is_file() or (model / "config.json").is_file()):
            raise InputError(
                f"{model} is gone, the {role.name} of iteration {iteration}: put it back, or begin "
                "another run"
            )

    def announce(self, iteration: int, what: str) -> None:
        self.out.print(f"\n{self.named(iteration)}: {what}", markup=False)

    def named(self, iteration: int) -> str:
        """An iteration in words."""
        if iteration == 0:
            return "before iteration 1"
        if iteration > self.loop.iterations:
            return f"after iteration {self.loop.iterations}"
        return f"iteration {iteration} of {self.loop.iterations}"
