"""The options of Apache Beam on a command line: read, and looked at by Beam itself.

`python -m pipelines.execution.beam_options` writes their names to `beam_options.txt`.
"""

from __future__ import annotations

import sys
from argparse import Action
from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipelines.execution import runners
from pipelines.execution.beam_line import DIRECT, NAMES_FILE
from pipelines.execution.options import add_arguments, add_seeds, all_stages, refuse
from pipelines.execution.parser import Parser
from pipelines.execution.workers import EngineWorkers
from terminal.exits import UsageError

_FN_API_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


class SparOptions(PipelineOptions):
    """Our options, known to Beam so that every runner accepts them."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        add_arguments(parser, all_stages())
        add_seeds(parser)


def read(arguments: Sequence[str]) -> PipelineOptions:
    """The options of arguments that were checked."""
    beam = PipelineOptions([*arguments])
    if (beam.view_as(StandardOptions).runner or DIRECT) == DIRECT:
        beam.view_as(StandardOptions).runner = _FN_API_RUNNER
    return beam


def check(arguments: Sequence[str], ours: Iterable[str]) -> None:
    """Have Beam and the runner look at what is not ours.

    Args:
        ours: the names of our options, for who misspelt one.

    Raises:
        UsageError: an option is nobody's, a value is no good, or the runner is not there.
    """
    parser = _parser()
    beams, unknown = parser.parse_known_args([*arguments])
    own = Parser(add_help=False, allow_abbrev=False)
    for name, kind in runners.options_of(beams).items():
        if name not in parser._option_string_actions:
            own.add_argument(name, nargs="?", type=kind)
    unknown = own.parse_known_args(unknown)[1]
    if unknown:
        refuse(unknown, [*ours, *parser._option_string_actions, *own._option_string_actions])
    if beams.no_wait_until_finish:
        raise UsageError(
            "--no_wait_until_finish is not for this job: it waits, to commit, to say what is "
            "pending still, and to clear up behind it"
        )


def described() -> str:
    """The names of Beam's options, and of those for workers, as `beam_options.txt` holds them."""
    actions = _parser()._option_string_actions
    return "".join(f"{name}{_value(actions[name])}\n" for name in sorted(actions))


def _value(action: Action) -> str:
    return {None: " VALUE", "?": " [VALUE]", 0: ""}[action.nargs]


def _parser() -> Parser:
    parser: Any = Parser(add_help=False, allow_abbrev=False)
    known: dict[Any, None] = dict.fromkeys([*PipelineOptions.__subclasses__(), EngineWorkers])
    for options in known:
        if options is not SparOptions:
            options._add_argparse_args(parser)
    made: Parser = parser
    return made


if __name__ == "__main__":
    NAMES_FILE.write_text(described())
    sys.exit()
