"""Answer: the best answer to each prompt that a decoder finds within its budget."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.stages.decode import ANSWERERS


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("answer", __doc__ or "", ANSWERERS, argv, choice="decoder", default_run="")


if __name__ == "__main__":
    sys.exit(main())
