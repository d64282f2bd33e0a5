"""The command line of a job: what all jobs share, its engines, and its stages' own options."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pipelines.execution import beam_line
from pipelines.execution.beam_line import BeamLine
from pipelines.execution.parser import Parser, underscored
from pipelines.execution.roles import add_engines, engine_of, is_bundled
from schemas import names
from schemas.prompts import TRAIN
from schemas.table import MAIN
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec, with_shared_servers
from spar_core.ids import is_reserved
from spar_core.methods import METHODS
from spar_core.prompt_columns import COLUMNS, SEED_COLUMNS
from spar_core.stage import DEFAULT_ROLES, PROMPTS, Stage, add_options, roles_of
from spar_core.stages import decontamination
from spar_core.stages.decode import ANSWERERS
from spar_core.stages.drawing import whole
from spar_core.stages.evolve import SIFTING
from spar_core.stages.teach import TEACHERS
from spar_core.stages.writers import WRITERS
from terminal.exits import UsageError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

DEMO_PROMPTS = Path(__file__).parents[1] / "demo" / "prompts.jsonl"
DEMO_RUN = "runs/demo"
DEMO_LIMIT = 6
DEMO_SETTINGS: dict[str, int | bool] = {
    "slots": 16,
    "responses": 2,
    "actor_max_tokens": 128,
    "votes": 3,
    "branch": 2,
    "stop_votes": True,
    "stop_level": True,
    "judge_once": True,
}
"""Defaults of the demo, where others are the paper's: it is to end soon on two cores. Its prompts
ask for answers that end before the limit. Of few slots each is used again, and finds the beginning
of its next prompt in its cache."""

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


@dataclass(frozen=True)
class Job:
    """A command line, understood.

    engines: by role, those that stand in for a stage's roles included. options: all of it, for the
    stages to read their settings from. files: of prompts or of seeds, "" where none are named.
    line: what Beam reads of it. has_demo: whether it takes the bundled prompts where a run holds
    none.
    """

    name: str
    dataset: Dataset
    variant: str
    stages: Stages
    engines: dict[str, EngineSpec]
    options: argparse.Namespace
    line: BeamLine
    files: str
    limit: int | None
    split: str
    is_demo: bool
    has_demo: bool = True

    @property
    def uses_bundled_model(self) -> bool:
        return bool(self.options.bundled)

    @property
    def beam(self) -> PipelineOptions:
        """Beam's options; to ask for them loads Beam."""
        return self.line.options

    @property
    def is_in_process(self) -> bool:
        """Whether its pipelines run in this process, so that nobody writes when it is over."""
        from pipelines.execution.elsewhere import IN_PROCESS, runner_of

        return runner_of(self.beam) == IN_PROCESS

    @property
    def is_metered(self) -> bool:
        """Whether the work itself is done in this process, so that its meter counts it."""
        from apache_beam.options.pipeline_options import DirectOptions

        mode = self.beam.view_as(DirectOptions).direct_running_mode
        return self.is_in_process and mode != "multi_processing"


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
        add_seeds(run)
        _add_prompt_column(run, "--seeds", SEED_COLUMNS)
    elif reads_prompts(stages):
        run.add_argument(
            "--prompts",
            metavar="FILES",
            help="JSONL, JSON, CSV, TSV or Parquet with a column `prompt`, texts or chats "
            "(or see --prompt_column), or .txt with a prompt a line, compressed or not; a path, a "
            "folder, a glob, a URL, or - for standard input (default: what the run holds, else the "
            "bundled prompts)",
        )
        _add_prompt_column(run, "--prompts", COLUMNS)
        add_hold_out(run)
        if not any(SIFTING in stage.options for stage in stages):  # it has the option, too
            decontamination.add(run, "prompts of --prompts")
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
    # The message about such a folder tells of it.
    run.add_argument("--force", action="store_true", help=argparse.SUPPRESS)
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


def add_seeds(run: Any) -> None:
    run.add_argument(
        "--seeds",
        metavar="FILES",
        help="JSONL, JSON, CSV, TSV or Parquet with a column `prompt`, `instruction`, `seed` or "
        "`text` (or see --prompt_column), a JSON list of texts, or .txt with one a line, "
        "compressed or not; a path, a folder, a glob, a URL, or - for standard input (default: "
        "what the run holds)",
    )


def _add_prompt_column(run: Any, files: str, usual: Sequence[str]) -> None:
    run.add_argument(
        "--prompt_column",
        metavar="NAME",
        help=f"the column of {files} that is read (default: the first of {', '.join(usual)} that "
        "the file has); other columns of prompts are kept in the column `extra`",
    )


def add_hold_out(run: Any) -> None:
    """Add the option that keeps prompts of files for an evaluation."""
    run.add_argument(
        "--hold_out",
        type=whole(1),
        metavar="N",
        help="hold N prompts of --prompts out, which are never sampled, judged or trained on: "
        "pipelines.evaluate --benchmark custom answers them (default: none)",
    )


def reads_prompts(stages: Stages) -> bool:
    """Whether a job of these stages begins with prompts from files."""
    return not stages[0].after and stages[0].intake == PROMPTS


def reads_seeds(stages: Stages) -> bool:
    """Whether a job of these stages begins with seeds from files."""
    return not stages[0].after and stages[0].intake == SEEDS


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
        "3 done, with rows in `failures` or a judge of no use; 4 stopped, run the same command to "
        "go on; 5 the run was begun with other settings.",
        allow_abbrev=False,
    )
    arguments = [underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    stages = methods[_method(parser, methods, arguments, choice)]
    add_arguments(parser, stages, default_run)
    if add:
        add(parser)
    options, rest = parser.parse_known_args(arguments)
    is_demo_run = _is_demo_run(options, stages)
    if default_run and is_demo_run:
        known = {name: value for name, value in DEMO_SETTINGS.items() if hasattr(options, name)}
        parser.set_defaults(**known)
        options, rest = parser.parse_known_args(arguments)
    _check_others(parser, rest)
    if options.run is None and not default_run:
        raise UsageError("--run DIR is needed")
    for option in ("run", "prompts", "seeds"):
        if getattr(options, option, None) == "":
            raise UsageError(f"--{option} must be a path or URL, not ''")
    line = BeamLine(tuple(rest if add else arguments))
    job = _understood(name, stages, options, line, is_demo_run=is_demo_run)
    return replace(job, has_demo=bool(default_run))


def demo_settings(options: argparse.Namespace) -> str:
    """The settings of a demo that are not the paper's, as its command line would give them."""
    held = {name: getattr(options, name, None) for name in DEMO_SETTINGS}
    return " ".join(
        f"--{name}" if value is True else f"--{name} {value}"
        for name, value in held.items()
        if value == DEMO_SETTINGS[name]
    )


def _is_demo_run(options: argparse.Namespace, stages: Stages) -> bool:
    """Whether this is work on the demo's run: the bundled prompts and the bundled model."""
    files = getattr(options, stages[0].intake, None)
    engines = _engines(options, stages).values()
    return options.run in (None, DEMO_RUN) and files is None and all(map(is_bundled, engines))


def _engines(options: argparse.Namespace, stages: Stages) -> dict[str, EngineSpec]:
    """The engines that a command line names, by role."""
    engines: dict[str, EngineSpec] = {}
    for role in roles_of(stages):
        engines[role] = engine_of(options, role, engines.get(DEFAULT_ROLES.get(role, "")))
    return with_shared_servers(engines)


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


def _check_others(parser: argparse.ArgumentParser, others: Sequence[str]) -> None:
    """Whatever is not ours must be Beam's: a misspelt option must not be passed over."""
    if not others:
        return
    ours = [*parser._option_string_actions]
    if unknown := beam_line.unknown(others):
        refuse(unknown, [*ours, *beam_line.names()])
    from pipelines.execution import beam_options  # loads Beam

    beam_options.check(others, ours)


def refuse(unknown: Sequence[str], known: Sequence[str]) -> NoReturn:
    """Refuse arguments that nobody knows.

    Raises:
        UsageError: with what may have been meant.
    """
    name = unknown[0].partition("=")[0]
    if name in _elsewhere():
        raise UsageError(f"no option {name} in this job: it is another job's")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UsageError(f"no option {name}{hint}")


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
    name: str,
    stages: Stages,
    options: argparse.Namespace,
    line: BeamLine,
    *,
    is_demo_run: bool,
) -> Job:
    engines = _engines(options, stages)
    options.engines = engines
    options.bundled = frozenset(r for r, e in engines.items() if is_bundled(e))
    for group in dict.fromkeys(some for stage in stages for some in stage.options):
        group.check(options)
    if reads_prompts(stages):
        _check_decontamination(options)
    makes_prompts = any(PROMPTS in stage.writes for stage in stages)
    if makes_prompts and options.variant != MAIN:
        raise UsageError(
            "--variant: prompts have none; other settings make others in another --run or "
            "--iteration"
        )
    files = getattr(options, stages[0].intake, None)
    if getattr(options, "hold_out", None) and not files:
        raise UsageError("--hold_out is for --prompts FILES")
    if getattr(options, "prompt_column", None) is not None and not files:
        raise UsageError(f"--prompt_column is for --{stages[0].intake} FILES")
    is_demo = is_demo_run and reads_prompts(stages)
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
        line=line,
        files=files or "",
        limit=limit or None,
        split=getattr(options, "split", TRAIN),
        is_demo=is_demo,
    )


def _check_decontamination(options: argparse.Namespace) -> None:
    if options.decontaminate and not options.prompts:
        raise UsageError(
            "--decontaminate is for --prompts FILES: prompts that a run holds stay as they are "
            "(pipelines.evolve has the option, too)"
        )
    decontamination.check(options)


def _variant(text: str) -> str:
    if not names.VARIANT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"must be lower-case letters, digits, - and _, at most 31, not {text!r}"
        )
    if is_reserved(text):
        raise argparse.ArgumentTypeError(
            f"must not be {text!r}, which stands in names of other rows: choose another name"
        )
    return text
