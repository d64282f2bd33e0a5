"""Tree search: one failing response of each prompt, refined until a refinement passes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.execution import command
from spar_core.stages.tree_search import TREE_SEARCH


def main(argv: Sequence[str] | None = None) -> int:
    return command.main("tree_search", __doc__ or "", {"tree_search": (TREE_SEARCH,)}, argv)


if __name__ == "__main__":
    sys.exit(main())
