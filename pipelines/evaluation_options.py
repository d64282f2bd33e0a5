"""The options of `pipelines.iterate --evaluate`, and the job that they come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines import evaluate, quoted
from spar_core.stage import DEFAULT_ROLES
from terminal.exits import UsageError

QUOTED = {"evaluate_args": "pipelines.evaluate"}

_SET_HERE = (
    *("--run", "--iteration", "--variant", "--benchmark", "--data", "--responses"),
    *("--engine", "--model", "--actor_model", "--refiner_model", "--decoder"),
)
_ENGINE = ("engine_args", "engine_timeout", "engine_patience", "slots")
_JUDGE = tuple(f"judge_{what}" for what in ("model", "url", "engine", "slots"))
"""What is said of the rounds' engines holds here too."""


@dataclass(frozen=True, slots=True)
class Evaluating:
    """How the models are evaluated.

    benchmarks: their names. argv: of the job, but for the iteration and its models. stops: whether
    an actor that is worse than the one before ends the loop.
    """

    benchmarks: tuple[str, ...]
    argv: list[str]
    stops: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("evaluating")
    group.add_argument(
        "--evaluate",
        metavar="NAMES",
        help="evaluate the actor and the refiner of every iteration, and the last ones, on these "
        "benchmarks, as pipelines.evaluate does",
    )
    group.add_argument(
        "--data", metavar="PATH", help="where the benchmarks' files are (default: the Hub)"
    )
    group.add_argument(
        "--stop_when_worse",
        action="store_true",
        help="end with the first actor that is worse than the one before by more than the interval "
        "of the difference (off)",
    )
    group.add_argument(
        "--evaluate_args",
        metavar="ARGS",
        help="more arguments for pipelines.evaluate, as one string",
    )


def understand(
    options: argparse.Namespace, actor: str, refiner: str, beam: Sequence[str]
) -> Evaluating | None:
    """How models are evaluated, None where they are not; benchmarks and their data are looked at.

    Args:
        options: of the whole command line, the rounds' included. actor, refiner: the models to
            begin with. beam: the options of Beam.

    Raises:
        UsageError: an unknown benchmark or option, or data that are not there.
    """
    if options.evaluate is None:
        for name in ("data", "stop_when_worse", "evaluate_args"):
            if getattr(options, name):
                raise UsageError(f"--{name} is for --evaluate")
        return None
    said = {name: getattr(options, name) for name in (*_ENGINE, *_JUDGE)}
    argv = ["--run", options.run, "--benchmark", options.evaluate, "--engine", "vllm"]
    argv += ["--data", options.data] if options.data else []
    argv += ["--seed", str(options.seed)]
    argv += [f"--{name}={value}" for name, value in said.items() if value not in (None, "")]
    argv += [*quoted.arguments("evaluate_args", options.evaluate_args or "", _SET_HERE), *beam]
    models = ["--actor_model", actor, f"--{DEFAULT_ROLES['judge']}_model", refiner]
    try:
        names = evaluate.look([*argv, *models])
    except UsageError as error:
        raise UsageError(f"--evaluate: {error}") from None
    return Evaluating(tuple(names), argv, options.stop_when_worse)
