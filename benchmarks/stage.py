"""One stage of a bootstrap, of self-made prompts or of a method as a job, to be measured alone.

python -m benchmarks.stage NAME ...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.methods import METHODS
from spar_core.stage import PROMPTS
from spar_core.stages import self_instruct
from spar_core.stages.teach import TEACHERS

JOBS = {
    stage.name: (stage,) if stage.intake == PROMPTS else stages[: number + 1]
    for stages in (TEACHERS["engine"], self_instruct.STAGES, *METHODS.values())
    for number, stage in enumerate(stages)
}
"""By the stage what runs it. Only a job that begins with the first stage reads seeds, so there the
stages before it come along: where they are done, they do nothing."""


def main(argv: Sequence[str]) -> int:
    name, *rest = argv
    return command.main(name, __doc__ or "", {"engine": JOBS[name]}, rest, choice="teacher")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
