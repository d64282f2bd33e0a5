"""Steps that measure: actors on held-out prompts, refiners, decoders, and general ability."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pipelines.iterations import ACTOR
from pipelines.reproduction import sets
from pipelines.reproduction.seed_folder import BASE, BOOTSTRAP, SPAR, SeedFolder
from pipelines.reproduction.settings import words
from pipelines.reproduction.step import Step, Work, module

Model = Callable[[], str]
"""Names a model when it is asked for: until then it may not be there."""

_IFEVAL_PROMPTS = 541
LAST = "last"
"""In the settings, the last actor of the main line."""


def scored(
    seed: SeedFolder, line: str, iteration: int, actor: Model, names: Sequence[str] = sets.SETS
) -> Iterator[Step]:
    """Steps that evaluate an actor on held-out prompts, and on IFEval where that is asked for.

    Args:
        names: of the sets of prompts; one without prompts is left out.
    """
    for name in names:
        count = getattr(seed.settings.prompts, name)
        if not count:
            continue
        arguments = ["--benchmark", "custom", "--data", str(seed.set_of(name))]
        yield _evaluated(
            seed,
            _found(seed, name, line, iteration, "custom"),
            arguments,
            actor,
            count * seed.settings.rates.answer,
            before=partial(_write_set, seed, name, count),
        )
    marked = seed.settings.ifeval
    is_last = line == SPAR and iteration == seed.settings.iterations
    if line in marked or (LAST in marked and is_last):
        yield _evaluated(
            seed,
            _found(seed, "ifeval", line, iteration, "ifeval"),
            ["--benchmark", "ifeval", *_data(seed)],
            actor,
            _IFEVAL_PROMPTS * seed.settings.rates.answer,
        )


def refiners(seed: SeedFolder) -> Iterator[Step]:
    """Steps that measure each refiner on the first actor's responses: votes and refinements."""
    how, rates = seed.settings.refiners, seed.settings.rates
    run, responses = seed.folder / "refiners", how.prompts * how.responses

    def sample() -> list[str]:
        given = ["--run", str(run), "--prompts", str(seed.set_of("taught"))]
        given += ["--limit", str(how.prompts), "--responses", str(how.responses)]
        given += [*words(seed.settings.engine), *words(seed.settings.evaluate)]
        return module("pipelines.sample", [*given, "--actor_model", seed.actor(0)])

    def judge(iteration: int, more: Sequence[str]) -> list[str]:
        given = ["--run", str(run), "--limit", str(how.prompts), "--votes", str(how.votes), *more]
        given += [*words(seed.settings.engine), "--refiner_model", seed.refiner(iteration)]
        return module("pipelines.judge", given)

    yield Step(seed.named("refiners", "responses"), sample, Work(1, responses * rates.answer))
    yield Step(seed.named("refiners", "checks"), partial(judge, 0, ["--checks", "decide"]))
    for iteration in range(seed.settings.iterations + 1):
        line = SPAR if iteration else BOOTSTRAP
        variant = f"refiner-{iteration + 1}"
        found = _found(seed, "agreement", line, iteration, "agreement")
        yield Step(
            seed.named("refiners", f"votes of refiner {iteration + 1}"),
            partial(judge, iteration, ["--checks", "report", "--variant", variant]),
            Work(1, responses * how.votes * rates.vote),
            evaluation={**found, "run": _in(seed, run), "variant": variant},
        )
        yield _evaluated(
            seed,
            _found(seed, "refinement", line, iteration, "refinement"),
            ["--benchmark", "refinement", "--data", str(run), "--votes", str(how.votes)],
            partial(seed.actor, 0),
            responses / 2 * (rates.refinement + how.votes * rates.vote),
            refiner=partial(seed.refiner, iteration),
        )


def decoding(seed: SeedFolder) -> Iterator[Step]:
    """Steps that have the last actor and refiner answer by each decoder, at each budget."""
    settings, how, last = seed.settings, seed.settings.decoding, seed.settings.iterations
    each = settings.rates.refinement + how.votes * settings.rates.vote
    for decoder in how.decoders:
        for responses in [1] if decoder == "greedy" else how.responses:
            arguments = ["--benchmark", "custom", "--data", str(seed.set_of("taught"))]
            arguments += ["--limit", str(how.prompts), "--decoder", decoder]
            arguments += ["--responses_per_item", str(responses), "--votes", str(how.votes)]
            found = _found(seed, "decoding", SPAR, last, "custom")
            yield _evaluated(
                seed,
                {
                    **found,
                    "variant": f"decoding-{decoder.replace('_', '-')}-{responses}",
                    "decoder": decoder,
                    "responses": responses,
                },
                arguments,
                partial(seed.actor, last),
                how.prompts * responses * each,
                refiner=partial(seed.refiner, last),
            )


def general(seed: SeedFolder) -> Iterator[Step]:
    """Steps that measure the general ability of the first and the last actor."""
    last, models = seed.settings.iterations, seed.models
    for line, iteration in ((BASE, 0), (SPAR, last)):
        actor: Model = partial(seed.actor, last) if iteration else seed.base
        for benchmark, items in seed.settings.general.items():
            yield _evaluated(
                seed,
                _found(seed, benchmark, line, iteration, benchmark),
                ["--benchmark", benchmark, "--limit", str(items), *_data(seed)],
                actor,
                items * seed.settings.rates.answer,
            )
        checkpoint = (
            partial(models.checkpoint, ACTOR, last + 1)
            if iteration
            else partial(models.first_checkpoint, ACTOR)
        )
        yield _perplexity(seed, line, iteration, checkpoint)


def _perplexity(seed: SeedFolder, line: str, iteration: int, checkpoint: Model) -> Step:
    file = seed.folder / f"perplexity-{line}-{iteration}.json"

    def command() -> list[str]:
        return module("training.perplexity", ["--model", checkpoint(), "--output", str(file)])

    found = _found(seed, "perplexity", line, iteration, "perplexity")
    return Step(
        seed.named("evaluation", f"perplexity of {line} {iteration}"),
        command,
        evaluation={**found, "run": _in(seed, file)},
    )


def _evaluated(
    seed: SeedFolder,
    found: dict[str, Any],
    arguments: Sequence[str],
    actor: Model,
    written: float,
    *,
    refiner: Model | None = None,
    before: Callable[[], None] | None = None,
) -> Step:
    """A job of `pipelines.evaluate`."""

    def command() -> list[str]:
        run = str(seed.root / found["run"])
        given = ["--run", run, "--variant", found["variant"], *arguments]
        given += [*words(seed.settings.engine), *words(seed.settings.evaluate)]
        given += ["--actor_model", actor()]
        given += ["--refiner_model", refiner()] if refiner else []
        return module("pipelines.evaluate", given)

    name = seed.named("evaluation", str(found["variant"]))
    return Step(name, command, Work(1, written), before, found)


def _found(
    seed: SeedFolder, measure: str, line: str, iteration: int, benchmark: str
) -> dict[str, Any]:
    """Where the page finds an evaluation, as `inspection.reproduction` reads it."""
    return {
        "seed": seed.seed,
        "measure": measure,
        "line": line,
        "iteration": iteration,
        "run": _in(seed, seed.scores / measure),
        "variant": f"{measure}-{line}-{iteration}".replace("_", "-"),
        "benchmark": benchmark,
        "decoder": "greedy",
        "responses": 1,
    }


def _in(seed: SeedFolder, path: Any) -> str:
    return str(path.relative_to(seed.root))


def _data(seed: SeedFolder) -> list[str]:
    return ["--data", seed.data] if seed.data else []


def _write_set(seed: SeedFolder, name: str, count: int) -> None:
    file = seed.set_of(name)
    if not file.is_file():
        sets.write_set(file.with_suffix(""), name, count, file)
