"""The folder of a seed: where its runs and models are, and which model each line has come to."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines.iterate_options import bundled
from pipelines.iterations import ACTOR, REFINER, Models
from pipelines.reproduction.record import Record
from pipelines.reproduction.settings import Settings
from terminal.exits import NOTHING_LEFT

BASE, BOOTSTRAP, SPAR = "base", "bootstrap", "spar"
"""Lines of models: the one to begin with, the one before iteration 1, those of the iterations. A
comparison is a line too."""


@dataclass(frozen=True)
class SeedFolder:
    """What a seed has.

    root: the folder of the reproduction. data: a folder of benchmarks, "" for the Hub.
    """

    root: Path
    settings: Settings
    record: Record
    data: str
    seed: int

    @property
    def folder(self) -> Path:
        return self.root / f"seed-{self.seed}"

    @property
    def run(self) -> Path:
        """The run of the main line."""
        return self.folder / SPAR

    @property
    def scores(self) -> Path:
        """The folder of the runs that evaluations are in, one for each measure."""
        return self.folder / "scores"

    @property
    def engine(self) -> str:
        return str(self.settings.engine["engine"])

    @property
    def launch(self) -> list[str]:
        """What starts a training."""
        line = self.settings.launch.format(python=shlex.quote(sys.executable))
        return shlex.split(line) or [sys.executable]

    @property
    def models(self) -> Models:
        """The models of the main line."""
        return Models(self.run / "models", first_models(self.settings), self.engine)

    def set_of(self, name: str) -> Path:
        """The file of a set of prompts that nothing is trained on."""
        return self.root / "prompts" / f"{name}.jsonl"

    def named(self, kind: str, what: str) -> str:
        """The name of a step."""
        return f"seed {self.seed}: {kind}: {what}"

    def base(self) -> str:
        """The actor to begin with, as engines are given it."""
        return self.models.first[ACTOR.name]

    def actor(self, iteration: int) -> str:
        """The main line's actor after an iteration; 0 is the bootstrap."""
        return self.models.of(ACTOR, iteration + 1)

    def refiner(self, iteration: int) -> str:
        """The main line's refiner after an iteration; 0 is the bootstrap."""
        return self.models.of(REFINER, iteration + 1)

    def training_of(self, line: str, iteration: int) -> str:
        """The name of the step that trains a comparison's actor."""
        return self.named("DPO", f"{line} {iteration}")

    def stayed(self, line: str, iteration: int) -> bool:
        """Whether a comparison's training had nothing to learn from."""
        return self.record.code(self.training_of(line, iteration)) == NOTHING_LEFT

    def made(self, line: str, iteration: int) -> Path:
        """Where a comparison's checkpoint is put."""
        return self.folder / "models" / f"{line}-{iteration + 1}"

    def checkpoint_of(self, line: str, iteration: int) -> str:
        """The checkpoint that a comparison came to, the main line's first actor before it."""
        made = self._last_made(line, iteration)
        return str(made) if made else self.models.checkpoint(ACTOR, 1)

    def actor_of(self, line: str, iteration: int) -> str:
        """The same as engines are given it."""
        made = self._last_made(line, iteration)
        return str(self.models.served(made)) if made else self.actor(0)

    def _last_made(self, line: str, iteration: int) -> Path | None:
        for earlier in range(iteration, 0, -1):
            if not self.stayed(line, earlier):
                return self.made(line, earlier)
        return None


def first_models(settings: Settings) -> dict[str, str]:
    """The models to begin with, by role; the bundled ones where none are named."""
    named = settings.models
    roles = (ACTOR.name, REFINER.name)
    first = {role: str(named.get(f"{role}_model") or named.get("model") or "") for role in roles}
    return first if any(first.values()) else bundled()
