"""A job whose chats go to any of several engines: python -m benchmarks.scattered STAGE ..."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from spar_core.engine import pool


def main(argv: Sequence[str]) -> int:
    stage, *rest = argv
    pool.STAY = -1.0  # no server is ever empty enough to be stayed with
    code: int = importlib.import_module(f"pipelines.{stage}").main(rest)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
