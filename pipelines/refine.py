"""Refine: the whole data round, from prompts to preference pairs (sample, judge, search, pairs)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines import judge, pairs, sample, tree_search
from pipelines.execution import job

STAGES = [sample.STAGE, judge.STAGE, tree_search.STAGE, pairs.PAIRS, pairs.RFT]


def main(argv: Sequence[str] | None = None) -> int:
    return job.main("refine", __doc__ or "", STAGES, argv)


if __name__ == "__main__":
    from pipelines.refine import main as _main  # by its own name, so that workers can unpickle

    sys.exit(_main())
