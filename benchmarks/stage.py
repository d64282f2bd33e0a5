"""One stage of a bootstrap, of self-made prompts or of a method as a job, to be measured alone.

python -m benchmarks.stage NAME ...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import job
from spar_core.methods import METHODS
from spar_core.stages import self_instruct
from spar_core.stages.teach import TEACHERS

STAGES = {
    stage.name: stage
    for stages in (TEACHERS["engine"], self_instruct.STAGES, *METHODS.values())
    for stage in stages
}


def main(argv: Sequence[str]) -> int:
    name, *rest = argv
    return job.main(name, __doc__ or "", {"engine": (STAGES[name],)}, rest, choice="teacher")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
