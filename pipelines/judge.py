"""Judge: votes on each sampled response, and the verdict of their majority."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.stages.judge import JUDGE


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("judge", __doc__ or "", {"judge": (JUDGE,)}, argv)


if __name__ == "__main__":
    sys.exit(main())
