"""Comparisons: other ways to the next actor, on the prompts of the main line's iterations.

A comparison begins with the main line's first actor and refiner. Its refiner stays the first one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipelines.execution.options import add_arguments
from pipelines.execution.parser import Parser
from pipelines.iterations import ACTOR
from pipelines.reproduction import cost, measuring, sets
from pipelines.reproduction.seed_folder import SPAR, SeedFolder
from pipelines.reproduction.settings import Comparison, Options, words
from pipelines.reproduction.step import Step, module
from schemas.table import MAIN
from schemas.views import connect
from spar_core.methods import METHODS

INDEPENDENT = "independent"
"""The comparison that every seed does."""


def steps(seed: SeedFolder, line: str) -> Iterator[Step]:
    """Steps of a comparison: data rounds, trainings and evaluations."""
    how = seed.settings.comparisons[line]
    for iteration in range(1, how.iterations + 1):
        run, variant = _place(seed, line, how, iteration)
        yield _round(seed, line, how, iteration, run, variant)
        yield Step(
            seed.training_of(line, iteration),
            partial(_dpo, seed, line, how, iteration, run, variant),
            cost.of_dpo(seed.settings, _prompts(seed, how)),
        )
        if seed.engine == "llamacpp":
            name = seed.named("GGUF", f"{line} {iteration}")
            yield Step(name, partial(_convert, seed, line, iteration))
        actor = partial(seed.actor_of, line, iteration)
        yield from measuring.scored(seed, line, iteration, actor, ["taught"])


def _place(seed: SeedFolder, line: str, how: Comparison, iteration: int) -> tuple[Path, str]:
    """The run and the variant of a data round: the main line's run where its samples are shared."""
    if iteration > 1 or how.one_round:
        return seed.folder / line, MAIN
    return seed.run, MAIN if how.method != SPAR else line.replace("_", "-")


def _prompts(seed: SeedFolder, how: Comparison) -> int:
    rounds = seed.settings.iterations if how.one_round else 1
    return seed.settings.prompts.iteration * rounds


def _round(
    seed: SeedFolder, line: str, how: Comparison, iteration: int, run: Path, variant: str
) -> Step:
    settings, file = seed.settings, seed.folder / f"{line}-{iteration}.jsonl"
    is_shared = run == seed.run

    def before() -> None:
        if not is_shared:
            last = settings.iterations if how.one_round else iteration
            sets.write_iterations(seed.run, iteration, last, file)

    def command() -> list[str]:
        given = ["--run", str(run), "--iteration", str(iteration), "--seed", str(seed.seed)]
        given += ["--limit", str(_prompts(seed, how))]
        given += [] if is_shared else ["--prompts", str(file)]
        given += ["--method", how.method, "--variant", variant]
        inherited = {**settings.round, "refiner_model": seed.refiner(0)}
        options = {**_known(inherited, how.method), **how.options}
        given += [*words(settings.engine), *words(options)]
        given += ["--actor_model", seed.actor_of(line, iteration - 1)]
        return module("pipelines.refine", given)

    name = seed.named("data round", f"{line} {iteration}")
    return Step(name, command, cost.of_round(settings, _prompts(seed, how)), before)


def _known(options: Options, method: str) -> Options:
    """The options that data rounds of a method have: some do not judge, or do not search."""
    parser = Parser(add_help=False, allow_abbrev=False)
    add_arguments(parser, METHODS[method])
    return {
        name: value
        for name, value in options.items()
        if not parser.parse_known_args(words({name: value}))[1]
    }


def _dpo(
    seed: SeedFolder, line: str, how: Comparison, iteration: int, run: Path, variant: str
) -> list[str] | None:
    if not _pairs(run, iteration, how.method, variant):
        return None
    given = ["--data", str(run), "--where", f"iteration = {iteration}"]
    given += ["--method", how.method, "--variant", variant]
    given += ["--model", seed.checkpoint_of(line, iteration - 1)]
    given += ["--output", str(seed.made(line, iteration)), "--seed", str(seed.seed)]
    return [*seed.launch, "-m", ACTOR.training, *given, *words(seed.settings.trainings.dpo)]


def _pairs(run: Path, iteration: int, method: str, variant: str) -> int:
    """How many pairs there are to train on."""
    with connect(str(run), ("pairs",)) as connection:
        query = "select count(*) from pairs where iteration = ? and method = ? and variant = ?"
        return int(connection.execute(query, [iteration, method, variant]).fetchall()[0][0])


def _convert(seed: SeedFolder, line: str, iteration: int) -> list[str] | None:
    if seed.stayed(line, iteration):
        return None
    made = seed.made(line, iteration)
    given = ["--model", str(made), "--like", seed.base()]
    return module("training.checkpoint_gguf", [*given, "--output", str(seed.models.served(made))])
