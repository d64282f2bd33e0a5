"""The options of `pipelines.iterate`: its own, and those of the rounds that it passes on."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import bootstrap_options, evaluation_options, quoted
from pipelines.bootstrap_options import Bootstrap
from pipelines.evaluation_options import Evaluating
from pipelines.execution.options import Job, add_arguments, add_hold_out, parse
from pipelines.execution.parser import Parser, underscored
from pipelines.iterations import ACTOR, FIRST, REFINER, ROLES, Models, Role
from schemas.table import MAIN, SPAR
from spar_core.dataset import Dataset
from spar_core.engine import serve_command
from spar_core.engine.bundled import bundled_adapter, bundled_model
from spar_core.engine.protocol import EngineGone
from spar_core.methods import spar
from spar_core.stages import decontamination
from spar_core.stages.drawing import whole
from terminal.exits import UsageError
from terminal.packages import extra, missing

RUN = "runs/iterate"
ITERATIONS = 3
ENGINES = ("vllm", "llamacpp")
"""Engines that are started for each new model without a command of the user's."""

_TRAININGS = (*FIRST, *ROLES)
_QUOTED = {
    *("--launch", "--serve", "--engine_args", *(f"--{role.option}" for role in ROLES)),
    *(f"--{name}" for name in (*bootstrap_options.QUOTED, *evaluation_options.QUOTED)),
}
_OURS = (
    *("--data", "--where", "--task", "--model", "--model_name_or_path", "--output"),
    "--output_dir",
)
"""Arguments of the trainings that this job sets."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A command line, understood.

    job: of iteration 1. options: those of `pipelines.refine` that are the same for all iterations.
    arguments: of the trainings. launch: starts a Python program. bootstrap: what comes first.
    evaluating: how the models are evaluated, if at all.
    """

    job: Job
    iterations: int
    options: list[str]
    arguments: dict[Role, list[str]]
    launch: list[str]
    models: Models
    bootstrap: Bootstrap | None
    evaluating: Evaluating | None

    @property
    def run(self) -> str:
        return self.job.dataset.run


def understand(description: str, argv: Sequence[str]) -> Loop:
    """Understand a command line, the options of the rounds included.

    Raises:
        UsageError: an unknown option, or a value that is no good.
    """
    given = [underscored(argument) for argument in quoted.joined(argv, _QUOTED)]
    whole = Parser(
        prog="python -m pipelines.iterate",
        description=description,
        epilog="Every option of pipelines.refine (and so of Apache Beam) passes through to the "
        "data rounds.  Exit codes: 0 done; 2 bad usage or input; 3 done, but some items are in "
        "the table `failures`; 4 stopped, run the same command to go on; 5 the run was begun with "
        "other settings.",
        allow_abbrev=False,
    )
    _add_arguments(whole)
    add_arguments(whole, spar.STAGES, RUN)
    whole.set_defaults(run=RUN)
    options, beam = whole.parse_known_args(given)
    options.engine = options.engine or ("openai" if options.serve else "vllm")
    ours = Parser(add_help=False, allow_abbrev=False)
    _add_arguments(ours)
    ours.add_argument("--prompts")
    ours.add_argument("--prompt_column")
    add_hold_out(ours)
    decontamination.add(ours, "prompts")
    ours.add_argument("--iteration")
    mine, rest = ours.parse_known_args(given)
    if mine.iteration is not None:
        raise UsageError("--iteration is set by this job: --iterations N says how many to do")
    if options.variant != MAIN:
        raise UsageError("--variant is not for this job: each iteration goes on from one model")
    if options.detach or options.attach:
        raise UsageError("--detach, --attach: not for this job, which trains between its rounds")
    _check_engines(options)
    models = _models(options)
    begin = []
    if options.engine == "llamacpp":  # its defaults depend on the role
        begin = [word for role in ROLES for word in (f"--{role.name}_model", models[role.name])]
    rest = ["--run", options.run, "--engine", options.engine, *begin, *rest]
    prompts = [] if mine.prompts is None else ["--prompts", mine.prompts]
    if mine.prompt_column is not None:
        prompts += ["--prompt_column", mine.prompt_column]
    if mine.hold_out is not None:
        prompts += ["--hold_out", str(mine.hold_out)]
    if mine.decontaminate:
        prompts += ["--decontaminate", *mine.decontaminate]
    job = parse("iterate", description, {SPAR: spar.STAGES}, [*rest, *prompts])
    launch = quoted.split("launch", options.launch)
    _check_launch(launch)
    first, folder = models, _folder(options, job.dataset)
    return Loop(
        job=job,
        iterations=options.iterations,
        options=rest,
        arguments={
            role: quoted.arguments(role.option, getattr(options, role.option) or "", _OURS)
            for role in _TRAININGS
        },
        launch=launch or [sys.executable],
        models=Models(folder, first, options.engine),
        bootstrap=bootstrap_options.understand(options, first[ACTOR.name], beam),
        evaluating=evaluation_options.understand(
            options, first[ACTOR.name], first[REFINER.name], beam
        ),
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the iterations")
    group.add_argument(
        "--iterations",
        type=whole(1),
        default=ITERATIONS,
        metavar="N",
        help=f"how many (default: {ITERATIONS}). The prompts are dealt to them in turn, and "
        "--limit is the most that each does",
    )
    group.add_argument(
        "--dpo_args",
        default="",
        metavar="ARGS",
        help="arguments for training.dpo, as one string: --dpo_args='--beta 0.2 --use_peft'",
    )
    group.add_argument("--rft_args", default="", metavar="ARGS", help="the same for training.rft")
    group.add_argument(
        "--launch",
        default="",
        metavar="COMMAND",
        help="starts the trainings, e.g. 'accelerate launch --config_file FILE' (default: this "
        "Python)",
    )
    group.add_argument(
        "--models",
        metavar="DIR",
        help="local folder for the checkpoints (default: RUN/models; needed where the run is on "
        "an object store)",
    )
    bootstrap_options.add_arguments(parser)
    evaluation_options.add_arguments(parser)


def _check_launch(launch: Sequence[str]) -> None:
    """Hours before it is needed."""
    if launch and not shutil.which(launch[0]):
        raise UsageError(f"--launch: no program {launch[0]} on the PATH")
    if not launch and not importlib.util.find_spec("trl"):
        raise UsageError(missing("pipelines.iterate", "trl", extra("train")))


def _check_engines(options: argparse.Namespace) -> None:
    """Refuse engines that could not be given the next models."""
    urls = (options.engine_url, options.actor_url, options.refiner_url)
    kinds = {options.engine, *(options.actor_engine, options.refiner_engine)} - {None}
    started = {*ENGINES, "openai"} if options.serve else set(ENGINES)
    if any(urls) or not kinds <= {options.engine} & started:
        raise UsageError(
            f"the engine of this job is {' or '.join(ENGINES)}, or what --serve COMMAND starts, "
            "started for each new model: a server at --engine_url stays with its model"
        )
    if options.serve:
        try:
            serve_command.check_program(options.serve)
        except (EngineGone, ValueError) as error:
            said = str(error).removeprefix("--serve: ")
            raise UsageError(f"--serve: {said}") from None
    if options.actor_adapter or options.refiner_adapter:
        raise UsageError(
            "--actor_adapter, --refiner_adapter: not for this job, whose trainings change the "
            "model itself"
        )


def _models(options: argparse.Namespace) -> dict[str, str]:
    """The models to begin with, by role.

    Raises:
        UsageError: there is none, or it is not what the engine serves.
    """
    first = {
        ACTOR.name: options.actor_model or options.model,
        REFINER.name: options.refiner_model or options.model,
    }
    if options.engine == "llamacpp":
        if not any(first.values()):
            return bundled()
        for role, model in first.items():
            if not Path(model).is_file():
                raise UsageError(
                    f"no GGUF file at {model!r} to begin with as the {role}: llamacpp serves GGUF "
                    "files, and this job makes a checkpoint of it that can be trained"
                )
        return first
    for role, model in first.items():
        if not model:
            raise UsageError(f"no {role} to begin with: give --model, a checkpoint folder")
        _check_checkpoint(model)
    return first


def bundled() -> dict[str, str]:
    """The bundled model as the actor; as the refiner that with the bundled adapter merged in.

    Both are of type Q8_0, as what is trained here will be: llama.cpp is twice as fast with it.
    """
    from spar_core.engine.merged_model import merged  # loads numpy

    try:
        model = bundled_model()
        adapters = {ACTOR.name: None, REFINER.name: bundled_adapter()}
        return {role: str(merged(model, adapter)) for role, adapter in adapters.items()}
    except (EngineGone, OSError) as error:
        raise UsageError(str(error)) from None


def _folder(options: argparse.Namespace, dataset: Dataset) -> Path:
    """Where the checkpoints go."""
    if options.models is None and not dataset.is_local:
        raise UsageError(f"--models DIR is needed: checkpoints cannot be in {dataset.run}")
    if options.models is not None and (not options.models or "://" in options.models):
        raise UsageError(f"--models must be a local folder, not {options.models!r}")
    return Path(options.models or Path(dataset.run) / "models")


def _check_checkpoint(model: str) -> None:
    """As far as can be seen from here: other names are left to the Hub."""
    path = Path(model)
    if path.is_file():
        raise UsageError(f"{model} is a file: training needs a checkpoint folder")
    if not path.is_dir() and (model.startswith(("/", ".", "~")) or model.count("/") > 1):
        raise UsageError(f"no model folder at {model}")
    if path.is_dir() and not (path / "config.json").is_file():
        raise UsageError(f"no checkpoint in {model}: it has no config.json")
