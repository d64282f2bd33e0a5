"""What a command line says to Apache Beam, and the names of Beam's options.

To import Beam takes seconds. Its options are made when they are asked for, and a misspelt option is
refused by the names in `beam_options.txt` alone. What a runner of its own knows besides is left to
Beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.execution.parser import Parser

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

NAMES_FILE = Path(__file__).with_name("beam_options.txt")
"""An option of Beam's a line, with ` VALUE` or ` [VALUE]` behind it where it takes one. Written by
`python -m pipelines.execution.beam_options`."""

DIRECT = "DirectRunner"
"""The runner of who names none; it has no options of its own."""

_NARGS = {"": 0, "VALUE": None, "[VALUE]": "?"}


@dataclass(frozen=True)
class BeamLine:
    """The arguments that Beam reads."""

    arguments: tuple[str, ...]

    @cached_property
    def options(self) -> PipelineOptions:
        """Beam's options; whoever changes them changes those of all that hold this line."""
        from pipelines.execution import beam_options

        return beam_options.read(self.arguments)

    @property
    def names_runner(self) -> bool:
        """Whether the job may run elsewhere than in this process."""
        parser = Parser(add_help=False, allow_abbrev=False)
        parser.add_argument("--runner")
        return parser.parse_known_args(self.arguments)[0].runner not in (None, DIRECT)


@cache
def names() -> dict[str, str]:
    """The options that Beam has without any runner: what is behind each name in the file."""
    lines = NAMES_FILE.read_text().splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def unknown(arguments: Sequence[str]) -> list[str]:
    """Those of the arguments that are no options of Beam's, as far as can be told without Beam.

    None are where a runner is named, which may have options of its own.

    Raises:
        UsageError: an option lacks its value, or has one too many.
    """
    parser = Parser(add_help=False, allow_abbrev=False)
    for name, value in names().items():
        nargs: Any = _NARGS[value]
        if nargs == 0:
            parser.add_argument(name, action="store_true")
        else:
            parser.add_argument(name, nargs=nargs)
    said, rest = parser.parse_known_args(arguments)
    return rest if said.runner in (None, DIRECT) else []
