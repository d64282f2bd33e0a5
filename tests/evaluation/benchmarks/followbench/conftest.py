"""FollowBench's files as they were published."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evaluation.benchmarks.followbench import FOLLOWBENCH
from schemas.items import Item

DATA = Path(
    os.environ.get("SPAR_BENCH_DATA", Path(__file__).parents[5] / "shared" / "bench")
).joinpath("followbench")


@pytest.fixture
def published() -> list[Item]:
    if not DATA.is_dir():
        pytest.skip(f"FollowBench's files are not in {DATA} (SPAR_BENCH_DATA names their parent)")
    return list(FOLLOWBENCH.read(sorted(DATA.glob(FOLLOWBENCH.files[0]))))
