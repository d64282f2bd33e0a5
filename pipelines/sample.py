"""Sample: K responses of the actor for each prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.stages.sample import SAMPLE


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("sample", __doc__ or "", {"sample": (SAMPLE,)}, argv)


if __name__ == "__main__":
    sys.exit(main())
