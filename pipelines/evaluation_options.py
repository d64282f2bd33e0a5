"""The options of `pipelines.iterate --evaluate`, and the jobs that they come to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.benchmark import Benchmark
from pipelines import evaluate, quoted
from pipelines.execution.parser import Parser, underscored
from schemas.table import MAIN
from terminal.exits import UsageError

QUOTED = {"evaluate_args": "pipelines.evaluate"}

OF_REFINERS = "refiner"
"""The variant of what the refiner judges where answers have a judge of their own."""

_SET_HERE = (
    *("--run", "--iteration", "--variant", "--benchmark", "--data", "--responses", "--decoder"),
    *("--engine", "--engine_url", "--serve", "--model"),
    *(f"--{role}_{what}" for role in ("actor", "refiner") for what in ("model", "url", "engine")),
)
_ENGINE = ("serve", "engine_key", "engine_args", "engine_timeout", "engine_patience", "slots")
_BODIES = ("engine_body", "actor_body", "refiner_body")
_THINKING = ("thinking", "actor_thinking", "refiner_thinking")
_JUDGE = tuple(f"judge_{what}" for what in ("model", "url", "engine", "slots", "body", "thinking"))
"""What is said of the rounds' engines holds here too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A job of `pipelines.evaluate`.

    benchmarks: their names. variant: that their figures are in. running: where and how it runs.
    counts: what its figures depend on, but for the models.
    """

    benchmarks: tuple[str, ...]
    variant: str
    running: list[str]
    counts: list[str]


@dataclass(frozen=True, slots=True)
class Evaluating:
    """How the models are evaluated.

    jobs: done one after the other for the models of each iteration. stops: whether an actor that is
    worse than the one before ends the loop.
    """

    jobs: tuple[Asked, ...]
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
        "--data",
        metavar="PATH",
        help="where the benchmarks' files are (default: the Hub; of custom the prompts that the "
        "run holds out, see --hold_out)",
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
        help="more arguments for pipelines.evaluate, as one string; a --judge_model or --judge_url "
        "among them judges answers and no data round",
    )


def understand(
    options: argparse.Namespace, actor: str, refiner: str, beam: Sequence[str]
) -> Evaluating | None:
    """How models are evaluated, None where they are not; benchmarks and their data are looked at.

    Args:
        options: of the whole command line, the rounds' included. actor, refiner: the models to
            begin with. beam: the options of Beam.

    Raises:
        UsageError: an unknown benchmark or option, data that are not there, or no judge.
    """
    if options.evaluate is None:
        for name in ("data", "stop_when_worse", "evaluate_args"):
            if getattr(options, name):
                raise UsageError(f"--{name} is for --evaluate")
        return None
    more = quoted.arguments("evaluate_args", options.evaluate_args or "", _SET_HERE)
    running = ["--run", options.run, "--engine", options.engine, *_said(options, _ENGINE), *beam]
    for name in ("engine_headers", "judge_headers"):
        running += [f"--{name}={word}" for word in getattr(options, name) or ()]
    counts = ["--seed", str(options.seed), *_said(options, ("data", *_JUDGE, *_BODIES, *_THINKING))]
    counts += map(underscored, more)
    models = ["--actor_model", actor, "--refiner_model", refiner]
    try:
        job, benchmarks = evaluate.look(
            [*running, *counts, "--benchmark", options.evaluate, *models],
            holds_out=bool(options.hold_out),
        )
        has_judge = bool(job.options.judge_model or job.options.judge_url)
        _check(benchmarks, has_judge, bool(options.data))
    except UsageError as error:
        raise UsageError(f"--evaluate: {error}") from None
    return Evaluating(tuple(_jobs(benchmarks, has_judge, running, counts)), options.stop_when_worse)


def _said(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    said = {name: getattr(options, name) for name in names}
    for name, value in said.items():
        if name.endswith("_body") and value == "":
            said[name] = "{}"  # no fields, where others have some
    return [f"--{name}={value}" for name, value in said.items() if value not in (None, "")]


def _check(benchmarks: Sequence[Benchmark], has_judge: bool, has_data: bool) -> None:
    """Refuse figures that would not be of the same thing in every iteration."""
    for each in benchmarks:
        if each.asks_actor and each.grade and not has_judge:
            raise UsageError(
                f"{each.name} needs a judge that stays the same: --judge_model or --judge_url, or "
                "one of them in --evaluate_args"
            )
        if each.answers == "refinement" and not has_data:
            raise UsageError(
                f"{each.name} needs --data RUN: this run's failing answers are others in every "
                "iteration"
            )


def _jobs(
    benchmarks: Sequence[Benchmark], has_judge: bool, running: list[str], counts: list[str]
) -> Iterator[Asked]:
    """The jobs; where answers have a judge of their own, what a judge is measured by stands apart.

    It goes first: a job makes the figures of all that its variant holds, answers included.
    """
    apart = [each.name for each in benchmarks if has_judge and each.answers is None]
    others = [each.name for each in benchmarks if each.name not in apart]
    parts = ((OF_REFINERS, apart, _without_judge(counts)), (MAIN, others, counts))
    for variant, names, how in parts:
        if names:
            asked = ["--benchmark", ",".join(names), *how]
            yield Asked(tuple(names), variant, [*running, "--variant", variant], asked)


def _without_judge(arguments: Sequence[str]) -> list[str]:
    parser = Parser(add_help=False, allow_abbrev=False)
    for name in _JUDGE:
        parser.add_argument(f"--{name}")
    return parser.parse_known_args(arguments)[1]
