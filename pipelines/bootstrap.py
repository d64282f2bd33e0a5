"""Bootstrap: a teacher answers, judges and refines, for a first actor and a first refiner."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.stages.teach import TEACHERS


def main(argv: Sequence[str] | None = None) -> int:
    return command.main(
        "bootstrap", __doc__ or "", TEACHERS, argv, choice="teacher", default_run=""
    )


if __name__ == "__main__":
    sys.exit(main())
