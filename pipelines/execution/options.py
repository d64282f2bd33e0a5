"""The command line of a job: what all jobs share, its engines, and its stages' own options."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipelines.execution import runners
from pipelines.execution.elsewhere import IN_PROCESS, runner_of
from pipelines.execution.roles import add_engines, engine_of, is_bundled
from schemas.prompts import TRAIN
from schemas.table import MAIN
from spar_core import variants
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec
from spar_core.methods import METHODS
from spar_core.stage import DEFAULT_ROLES, PROMPTS, Stage, add_options, roles_of
from spar_core.stages.decode import ANSWERERS
from spar_core.stages.drawing import whole
from spar_core.stages.teach import TEACHERS
from spar_core.stages.writers import WRITERS
from terminal.exits import UsageError

DEMO_PROMPTS = Path(__file__).parents[1] / "demo" / "prompts.jsonl"
DEMO_RUN = "runs/demo"
DEMO_LIMIT = 6

SEEDS = "seeds"

Stages = tuple[Stage[Any], ...]

_CHOICES = {
    "method": "how pairs are made",
    "writer": "who evolves the seeds: a program, or an engine, where one is named",
    "teacher": "who judges and refines: a program, for prompts with checks, or an engine",
    "decoder": "how an answer is found: greedy, the best of N, or refined: one after the other, or "
    "by tree search",
}
"""Options that say which stages a job has."""

_FN_API_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@dataclass(frozen=True)
class Job:
    """A command line, understood.

    engines: by role, those that stand in for a stage's roles included. options: all of it, for the
    stages to read their settings from. files: of prompts or of seeds, "" where none are named.
    has_demo: whether it takes the bundled prompts where a run holds none.
    """

    name: str
    dataset: Dataset
    variant: str
    stages: Stages
    engines: dict[str, EngineSpec]
    options: argparse.Namespace
    beam: PipelineOptions
    files: str
    limit: int | None
    split: str
    is_demo: bool
    has_demo: bool = True

    @property
    def uses_bundled_model(self) -> bool:
        return bool(self.options.bundled)

    @property
    def is_in_process(self) -> bool:
        """Whether its pipelines run in this process, so that nobody writes when it is over."""
        return runner_of(self.beam) == IN_PROCESS


class SparOptions(PipelineOptions):
    """Our options, known to Beam so that every runner accepts them."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        add_arguments(parser, all_stages())
        _add_seeds(parser)


def add_arguments(
    parser: argparse.ArgumentParser, stages: Stages, default_run: str = DEMO_RUN
) -> None:
    """Add the options of a job of these stages."""
    _add_run(parser.add_argument_group("the run"), stages, default_run)
    if roles := roles_of(stages):
        add_engines(parser.add_argument_group("the engines"), roles)
    add_options(parser, stages)


def _add_run(run: Any, stages: Stages, default_run: str) -> None:
    run.add_argument(
        "--run",
        metavar="DIR",
        help="folder of the run: a path, gs://, s3:// or anything fsspec knows"
        f"{f' (default: {default_run})' if default_run else ''}. The same command on the same run "
        "goes on where it stopped.",
    )
    run.add_argument(
        "--iteration",
        type=whole(0),
        default=1,
        metavar="N",
        help="iteration of the self-play, from 1; 0 is what comes before it",
    )
    run.add_argument(
        "--variant",
        type=_variant,
        default=MAIN,
        metavar="NAME",
        help="a name for settings to try beside others on the same iteration; stages whose "
        f"settings another variant has too are not done again (default: {MAIN})",
    )
    if reads_seeds(stages):
        _add_seeds(run)
    elif reads_prompts(stages):
        run.add_argument(
            "--prompts",
            metavar="FILES",
            help="JSONL, CSV or Parquet with a column `prompt`; a path, a glob or a URL; may be "
            "gzipped (default: what the run holds, else the bundled prompts)",
        )
    if not all(stage.replaces for stage in stages):
        run.add_argument(
            "--limit", type=whole(0), metavar="N", help="do the first N prompts only; 0 for all"
        )
    of_prompts = stages[0].intake == PROMPTS and not any(stage.trains for stage in stages)
    if reads_prompts(stages) and sum(bool(stage.roles) for stage in stages) > 1:
        run.add_argument(
            "--together",
            nargs="?",
            choices=("auto", "on", "off"),
            const="on",
            default="auto",
            help="take each prompt through all stages in one pipeline; on: if all engines are "
            "there at once, at URLs or one for all; auto: if all are at URLs (default: auto)",
        )
    if reads_seeds(stages) or of_prompts:
        run.add_argument(
            "--split",
            default=TRAIN,
            metavar="NAME",
            help="the prompts to do, and what rows without a column `split` are for; pairs come of "
            f"`{TRAIN}` only (default: {TRAIN})",
        )
    elsewhere = run.add_mutually_exclusive_group()
    elsewhere.add_argument(
        "--detach",
        action="store_true",
        help="leave the job alone once a runner elsewhere (Flink, Dataflow, a job server) has it; "
        "python -m pipelines.status says how it is (off)",
    )
    elsewhere.add_argument(
        "--attach",
        action="store_true",
        help="wait for the job that was left, if it is not ended, and go on (off)",
    )
    run.add_argument("--seed", type=int, default=0, help="seed of every random choice")


def _add_seeds(run: Any) -> None:
    run.add_argument(
        "--seeds",
        metavar="FILES",
        help="JSONL, JSON, CSV or Parquet with a column `prompt`, `instruction`, `seed` or `text`, "
        "or a JSON list of texts; a path, a glob or a URL (default: what the run holds)",
    )


def reads_prompts(stages: Stages) -> bool:
    """Whether a job of these stages begins with prompts from files."""
    return not stages[0].after and stages[0].intake == PROMPTS


def reads_seeds(stages: Stages) -> bool:
    """Whether a job of these stages begins with seeds from files."""
    return not stages[0].after and stages[0].intake == SEEDS


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def parse(
    name: str,
    description: str,
    methods: Mapping[str, Stages],
    argv: Sequence[str] | None = None,
    *,
    choice: str = "method",
    default_run: str = DEMO_RUN,
    add: Callable[[argparse.ArgumentParser], None] | None = None,
) -> Job:
    """Understand a command line.

    Args:
        methods: the job's stages by method; the first is what it does unless one is named.
        choice: the option that names the method. default_run: "" where --run must be given.
        add: adds options of this job alone.

    Raises:
        UsageError: an unknown option, or a value that is no good.
    """
    parser = Parser(
        prog=f"python -m pipelines.{name}",
        description=description,
        epilog="Every option of Apache Beam passes through: --runner (default: DirectRunner), "
        "--direct_num_workers, --project, ...  Exit codes: 0 done; 2 bad usage or input; "
        "3 done, but some items are in the table `failures`; 4 stopped, run the same command to "
        "go on; 5 the run was begun with other settings.",
        allow_abbrev=False,
    )
    arguments = [underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    stages = methods[_method(parser, methods, arguments, choice)]
    add_arguments(parser, stages, default_run)
    if add:
        add(parser)
    options, rest = parser.parse_known_args(arguments)
    beam = _beam_options(parser, rest if add else arguments, rest)
    if options.run is None and not default_run:
        raise UsageError("--run DIR is needed")
    for option in ("run", "prompts", "seeds"):
        if getattr(options, option, None) == "":
            raise UsageError(f"--{option} must be a path or URL, not ''")
    job = _understood(name, stages, options, beam)
    return replace(job, has_demo=bool(default_run))


def _method(
    parser: Parser, methods: Mapping[str, Stages], arguments: Sequence[str], choice: str
) -> str:
    """The method that a command line names: it says which options there are."""
    default = next(iter(methods))
    if len(methods) == 1:
        return default
    first = Parser(add_help=False, allow_abbrev=False)
    for each in (first, parser):
        each.add_argument(
            f"--{choice}",
            choices=tuple(methods),
            help=f"{_CHOICES[choice]} (default: {default})",
        )
    named = getattr(first.parse_known_args(arguments)[0], choice)
    return str(named or _asking(methods, arguments) or default)


def _asking(methods: Mapping[str, Stages], arguments: Sequence[str]) -> str | None:
    """Where the default asks no engine and a command line names one, the method that does."""
    if roles_of(next(iter(methods.values()))):
        return None
    options = {argument.partition("=")[0] for argument in arguments}
    for name, stages in methods.items():
        parser = Parser(add_help=False, allow_abbrev=False)
        add_engines(parser, roles_of(stages))
        if roles_of(stages) and options & {*parser._option_string_actions}:
            return name
    return None


def underscored(argument: str) -> str:
    """`--engine-url` is `--engine_url`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _beam_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str], rest: Sequence[str]
) -> PipelineOptions:
    """Whatever is not ours must be Beam's: a misspelt option must not be passed over."""
    beam_parser: Any = Parser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if options is not SparOptions:
            options._add_argparse_args(beam_parser)
    beams, unknown = beam_parser.parse_known_args(rest)
    own: Any = Parser(add_help=False, allow_abbrev=False)
    for name, kind in runners.options_of(beams).items():
        if name not in beam_parser._option_string_actions:
            own.add_argument(name, nargs="?", type=kind)
    unknown = own.parse_known_args(unknown)[1]
    if unknown:
        known = [n for each in (parser, beam_parser, own) for n in each._option_string_actions]
        name = unknown[0].partition("=")[0]
        if name in _elsewhere():
            raise UsageError(f"no option {name} in this job: it is another job's")
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(f"no option {name}{hint}")
    if beams.no_wait_until_finish:
        raise UsageError(
            "--no_wait_until_finish is not for this job: it waits, to commit, to say what is "
            "pending still, and to clear up behind it"
        )
    beam = PipelineOptions([*arguments])
    if (beam.view_as(StandardOptions).runner or "DirectRunner") == "DirectRunner":
        beam.view_as(StandardOptions).runner = _FN_API_RUNNER
    return beam


def _elsewhere() -> set[str]:
    """The options of all jobs, of one stage and of several."""
    stages = all_stages()
    found = {f"--{choice}" for choice in _CHOICES}
    for some in (stages, *((stage,) for stage in stages)):
        parser = Parser(add_help=False, allow_abbrev=False)
        add_arguments(parser, some)
        found |= {*parser._option_string_actions}
    return found


def all_stages() -> Stages:
    families: tuple[Mapping[Any, Stages], ...] = (METHODS, WRITERS, TEACHERS, ANSWERERS)
    return tuple(
        dict.fromkeys(stage for family in families for some in family.values() for stage in some)
    )


def _understood(
    name: str, stages: Stages, options: argparse.Namespace, beam: PipelineOptions
) -> Job:
    roles = roles_of(stages)
    engines: dict[str, EngineSpec] = {}
    for role in roles:
        engines[role] = engine_of(options, role, engines.get(DEFAULT_ROLES.get(role, "")))
    options.engines = engines
    options.bundled = frozenset(r for r, e in engines.items() if is_bundled(e))
    for group in dict.fromkeys(some for stage in stages for some in stage.options):
        group.check(options)
    makes_prompts = any(PROMPTS in stage.writes for stage in stages)
    if makes_prompts and options.variant != MAIN:
        raise UsageError(
            "--variant: prompts have none; other settings make others in another --run or "
            "--iteration"
        )
    files = getattr(options, stages[0].intake, None)
    is_demo = (
        reads_prompts(stages)
        and len(options.bundled) == len(engines)
        and files is None
        and options.run in (None, DEMO_RUN)
    )
    limit = getattr(options, "limit", None)
    if limit is None and is_demo:
        limit = DEMO_LIMIT
    return Job(
        name=name,
        dataset=Dataset(options.run or DEMO_RUN, options.iteration),
        variant=options.variant,
        stages=stages,
        engines=engines,
        options=options,
        beam=beam,
        files=files or "",
        limit=limit or None,
        split=getattr(options, "split", TRAIN),
        is_demo=is_demo,
    )


def _variant(text: str) -> str:
    if not variants.NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"must be lower-case letters, digits, - and _, at most 31, not {text!r}"
        )
    return text
