"""Evolve: plain instructions become prompts with constraints, by a program or by an engine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.stages.writers import WRITERS


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("evolve", __doc__ or "", WRITERS, argv, choice="writer", default_run="")


if __name__ == "__main__":
    sys.exit(main())
