"""Pairs: preference pairs from what was searched or judged, and samples for the refiner."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.methods import METHODS

_SELECTIONS = {
    method: tuple(stage for stage in stages if stage.trains and not stage.roles)
    for method, stages in METHODS.items()
}
STAGES = {method: stages for method, stages in _SELECTIONS.items() if stages}
"""What makes training data of what the engines said, by method."""


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("pairs", __doc__ or "", STAGES, argv)


if __name__ == "__main__":
    sys.exit(main())
