"""The command line of a training job: what it trains on, and every argument of TRL."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from schemas.selection import COLUMNS
from terminal.exits import UsageError

_ALIASES = {
    "--model_name_or_path": "--model",
    "--model-name-or-path": "--model",
    "--output_dir": "--output",
    "--output-dir": "--output",
}


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is trained on what, and where it goes."""

    data: str = field(
        metadata={"help": "a run's folder, or Parquet, JSONL or CSV files (a path, glob or URL)"}
    )
    model: str = field(
        metadata={"help": "the checkpoint to start from: a folder or a name on the Hub"}
    )
    output: str = field(
        metadata={
            "help": "folder of the result; the same command on the same folder goes on where it "
            "stopped"
        }
    )
    where: str = field(
        default="true",
        metadata={"help": "SQL condition on any column, e.g. 'similarity > 0.6 and iteration = 1'"},
    )
    method: str | None = field(
        default=None,
        metadata={
            "help": "only rows of this method, e.g. spar, or of several with commas; needed where "
            "there is more than one"
        },
    )
    variant: str | None = field(
        default=None,
        metadata={
            "help": "only rows of this variant, e.g. main, or of several with commas; needed "
            "where there is more than one"
        },
    )
    eval_data: str | None = field(
        default=None,
        metadata={
            "help": "as --data, for TRL's --eval_strategy; --method and --variant hold for it "
            "too where it has these columns, --where does not"
        },
    )
    check: bool = field(
        default=False,
        metadata={"help": "only make sure that the command line and the model will do"},
    )


@dataclass(frozen=True, slots=True)
class ReasoningArguments(Arguments):
    """Those of a job that can train on the reasoning before an answer."""

    with_reasoning: bool = field(
        default=False,
        metadata={
            "help": "train on what the model thought before its answer, too, where the data hold "
            "it (default: on the answer alone)"
        },
    )


@dataclass(frozen=True, slots=True)
class TaskArguments(ReasoningArguments):
    """Those of a job that has tasks."""

    task: str | None = field(
        default=None,
        metadata={
            "metavar": "ROLE",
            "help": "actor or refiner: learn what pipelines.bootstrap made for this one, the last "
            "turn of each chat",
        },
    )


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def look(argv: Sequence[str] | None, tasks: Collection[str] = ()) -> None:
    """Look at our own arguments alone, before TRL is loaded, which takes ten seconds.

    Those of a configuration file are left to TRL, and so is the help.

    Raises:
        UsageError: one is missing, or a value is no good.
    """
    given = _given(argv)
    if {"-h", "--help", "--config"} & {argument.partition("=")[0] for argument in given}:
        return
    parser = Parser(add_help=False, allow_abbrev=False)
    for name in ("data", "model", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--task")
    options, _ = parser.parse_known_args(given)
    if tasks:
        _check_task(options.task, tasks)


def parse(
    job: str,
    description: str,
    config: type,
    defaults: Mapping[str, Any],
    argv: Sequence[str] | None,
    tasks: Collection[str] = (),
    *,
    reasons: bool = False,
) -> tuple[Arguments, Any, Any]:
    """Our arguments, TRL's training config and its model config.

    Args:
        config: TRL's config class of the job. defaults: ours where they differ from its.
        tasks: what the job may be told to do with --task.
        reasons: whether it has --with_reasoning; one with tasks has.

    Raises:
        UsageError: an unknown option, or a value that is no good.
    """
    from trl import ModelConfig, TrlParser

    class WholeParser(TrlParser):  # type: ignore[misc]
        error = Parser.error

    ours = TaskArguments if tasks else ReasoningArguments if reasons else Arguments
    parser = WholeParser(
        (ours, config, ModelConfig),
        prog=f"python -m training.{job}",
        description=description,
        epilog="Exit codes: 0 done; 2 bad usage or data; 3 no rows are left to train on; 4 "
        "stopped, run the same command to go on; 5 the output folder holds another training.",
        allow_abbrev=False,
    )
    parser.set_defaults(**defaults)
    try:
        arguments, training, model, unknown = parser.parse_args_and_config(
            _given(argv), return_remaining_strings=True
        )
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(str(error)) from None
    if unknown:
        name = unknown[0].partition("=")[0]
        close = difflib.get_close_matches(name, parser._option_string_actions, n=1)
        raise UsageError(f"no option {name}" + (f"; did you mean {close[0]}?" if close else ""))
    if tasks:
        _check_task(arguments.task, tasks)
    if training.eval_strategy != "no" and not arguments.eval_data:
        raise UsageError(f"--eval_strategy {training.eval_strategy.value} needs --eval_data")
    training.output_dir = arguments.output
    model.model_name_or_path = arguments.model
    for name in COLUMNS:
        if isinstance(names := getattr(arguments, name), list):  # as YAML may write them
            arguments = replace(arguments, **{name: ",".join(map(str, names))})
        elif names is not None:
            arguments = replace(arguments, **{name: str(names)})
    return arguments, training, model


def _given(argv: Sequence[str] | None) -> list[str]:
    return [_named(argument) for argument in (sys.argv[1:] if argv is None else argv)]


def _check_task(task: str | None, tasks: Collection[str]) -> None:
    if task not in (None, *tasks):
        raise UsageError(f"--task is {' or '.join(tasks)}, not {task!r}")


def _named(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return _ALIASES.get(name, name) + equals + value
