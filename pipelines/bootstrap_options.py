"""The options of `pipelines.iterate --bootstrap`, and the jobs that they come to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines import quoted
from pipelines.execution.options import Job, Stages, parse
from pipelines.iterations import FIRST
from spar_core.stages.drawing import whole
from spar_core.stages.teach import TEACHERS
from spar_core.stages.writers import WRITERS
from terminal.exits import UsageError

QUOTED = {
    "evolve_args": "pipelines.evolve",
    "bootstrap_args": "pipelines.bootstrap",
    **{role.option: f"{role.training} --task {role.name}" for role in FIRST},
}
"""Options that hold arguments, and the programs that these are for."""

_NAMES = ("seeds", "writer", "teacher", "teacher_url", "teacher_model", "bootstrap_limit", *QUOTED)
_BOTH = ("--run", "--iteration", "--variant", "--engine", "--serve", "--model")
_EVOLVE = (*_BOTH, "--seeds", "--split", "--writer", "--writer_url")
_TEACH = (*_BOTH, "--prompts", "--limit", "--actor_model", "--teacher", "--teacher_url")
"""Options of the two jobs that are set here."""
_ENGINE = (
    *(
        "serve",
        "engine_args",
        "engine_body",
        "thinking",
        "engine_timeout",
        "engine_patience",
        "slots",
    ),
)
"""What is said of the rounds' engine holds before them too."""


@dataclass(frozen=True, slots=True)
class Command:
    """A job that comes before iteration 1: its command line, and what it is understood as."""

    argv: list[str]
    job: Job


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What comes before iteration 1, understood.

    limit: how many prompts are taught on, 0 for all; None where nobody said.
    """

    evolve: Command
    teach: Command
    limit: int | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is about the time before iteration 1."""
    group = parser.add_argument_group("before iteration 1")
    group.add_argument(
        "--bootstrap",
        action="store_true",
        help="make a first actor and a first refiner of --model: prompts are evolved of --seeds, a "
        "teacher answers, judges and refines on some of them, and training.sft follows for each",
    )
    group.add_argument(
        "--seeds", metavar="FILES", help="plain instructions, as pipelines.evolve takes them"
    )
    group.add_argument(
        "--writer", choices=tuple(WRITERS), help="who evolves them (default: rules, a program)"
    )
    group.add_argument(
        "--teacher", choices=tuple(TEACHERS), help="who teaches (default: rules, a program)"
    )
    group.add_argument(
        "--teacher_url",
        metavar="URL",
        help="a running server for an engine that teaches or writes (default: one is started, as "
        "for the iterations)",
    )
    group.add_argument("--teacher_model", metavar="M", help="its model (default: --model)")
    group.add_argument(
        "--bootstrap_limit",
        type=whole(0),
        metavar="N",
        help="teach on the first N evolved prompts, 0 for all (default: half of them, at most "
        "1000). Without --prompts the iterations are dealt the others",
    )
    for name, program in QUOTED.items():
        group.add_argument(
            f"--{name}", metavar="ARGS", help=f"more arguments for {program}, as one string"
        )


def understand(options: argparse.Namespace, actor: str, beam: Sequence[str]) -> Bootstrap | None:
    """The jobs before iteration 1, None without --bootstrap.

    Args:
        options: of the whole command line, the rounds' included. actor: the model to begin with.
        beam: the options of Beam.

    Raises:
        UsageError: an unknown option, a value that is no good, or one that nothing asks for.
    """
    given = [name for name in _NAMES if getattr(options, name) is not None]
    if not options.bootstrap:
        if given:
            raise UsageError(f"--{given[0]} is for --bootstrap")
        return None
    if not options.seeds:
        raise UsageError("--bootstrap needs --seeds FILES")
    if options.seeds == "-":  # a process of its own reads them
        raise UsageError("--seeds -: standard input is read by pipelines.evolve only: name a file")
    writer, teacher = options.writer or next(iter(WRITERS)), options.teacher or next(iter(TEACHERS))
    if "engine" not in (writer, teacher):
        for name in ("teacher_url", "teacher_model"):
            if name in given:
                raise UsageError(f"--{name} is for --teacher engine or --writer engine")
    run = ["--run", options.run, "--iteration", "0", "--seed", str(options.seed)]
    evolve = [*run, "--seeds", options.seeds, "--writer", writer]
    if writer == "engine":
        evolve += [*_engine(options, actor), *_teaching(options, "writer")]
    teach = [*run, "--teacher", teacher, *_engine(options, actor), "--actor_model", actor]
    if teacher == "engine":
        teach += _teaching(options, "teacher")
    return Bootstrap(
        _command("evolve", WRITERS, "writer", [*evolve, *beam], options.evolve_args, _EVOLVE),
        _command("bootstrap", TEACHERS, "teacher", [*teach, *beam], options.bootstrap_args, _TEACH),
        options.bootstrap_limit,
    )


def _engine(options: argparse.Namespace, actor: str) -> list[str]:
    """The engine with the model to begin with, as the rounds are told to run it."""
    said = {name: getattr(options, name) for name in _ENGINE}
    if options.serve:
        said["engine_key"] = options.engine_key
    given = [f"--{name}={value}" for name, value in said.items() if value not in (None, "")]
    return ["--engine", options.engine, "--model", options.model or actor, *given]


def _teaching(options: argparse.Namespace, role: str) -> list[str]:
    """The engine of who teaches or writes, where it is not the one to begin with."""
    url, model = options.teacher_url, options.teacher_model
    at = [f"--{role}_url", url, f"--{role}_engine", "openai"] if url else []
    return [*at, *([f"--{role}_model", model] if model else [])]


def _command(
    name: str,
    methods: Mapping[str, Stages],
    choice: str,
    argv: list[str],
    more: str | None,
    set_here: Sequence[str],
) -> Command:
    option = f"{name}_args"
    whole = [*argv, *quoted.arguments(option, more or "", set_here)]
    try:
        return Command(whole, parse(name, "", methods, whole, choice=choice, default_run=""))
    except UsageError as error:
        raise UsageError(f"--{option}: {error}" if more else str(error)) from None
