"""The main line: bootstrap and iterations by `pipelines.iterate`, each actor evaluated."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.reproduction import cost, measuring
from pipelines.reproduction.seed_folder import BASE, BOOTSTRAP, SPAR, SeedFolder
from pipelines.reproduction.settings import words
from pipelines.reproduction.step import Step, module

INSTRUCTIONS = Path(__file__).parents[1] / "demo" / "seeds.jsonl"
"""Plain instructions that are evolved where no others are named."""


def steps(seed: SeedFolder) -> Iterator[Step]:
    """Steps from the model to begin with to that of the last iteration."""
    yield from measuring.scored(seed, BASE, 0, seed.base)
    for iteration in range(1, seed.settings.iterations + 1):
        what = f"iteration {iteration}" if iteration > 1 else "bootstrap and iteration 1"
        yield Step(
            seed.named("main line", what),
            partial(module, "pipelines.iterate", _arguments(seed, iteration)),
            cost.of_iteration(seed.settings, iteration),
        )
        if iteration == 1:
            yield from measuring.scored(seed, BOOTSTRAP, 0, partial(seed.actor, 0))
        yield from measuring.scored(seed, SPAR, iteration, partial(seed.actor, iteration))


def _arguments(seed: SeedFolder, iterations: int) -> list[str]:
    settings, own = seed.settings, ["--seed", str(seed.seed)]
    evolve = ["--kinds", ",".join(settings.kinds.taught), "--more", str(settings.more)]
    trainings = settings.trainings
    return [
        *("--run", str(seed.run), "--bootstrap", "--iterations", str(iterations)),
        *("--seeds", settings.instructions or str(INSTRUCTIONS)),
        *("--limit", str(settings.prompts.iteration), *own),
        *("--bootstrap_limit", str(settings.prompts.bootstrap)),
        *("--launch", shlex.join(seed.launch), "--evolve_args", shlex.join(evolve)),
        *("--bootstrap_args", shlex.join(words(settings.bootstrap))),
        *("--sft_actor_args", shlex.join([*words(trainings.sft_actor), *own])),
        *("--sft_refiner_args", shlex.join([*words(trainings.sft_refiner), *own])),
        *("--dpo_args", shlex.join([*words(trainings.dpo), *own])),
        *("--rft_args", shlex.join([*words(trainings.rft), *own])),
        *words(settings.engine),
        *words(settings.models),
        *words(settings.round),
    ]
