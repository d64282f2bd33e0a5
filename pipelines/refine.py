"""Refine: the whole data round, from prompts to preference pairs (sample, judge, search, pairs)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.methods import METHODS


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("refine", __doc__ or "", METHODS, argv)


if __name__ == "__main__":
    sys.exit(main())
