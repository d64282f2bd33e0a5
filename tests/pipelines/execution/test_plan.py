"""Planning: what is shared out."""

from __future__ import annotations

import pytest

from pipelines.execution.plan import buckets_for


@pytest.mark.parametrize(
    ("items", "buckets"),
    [(1, 16), (200, 25), (2_000, 64), (10_000, 156), (100_000, 256), (1_000_000, 1_953)],
)
def test_items_are_shared_out_in_buckets(items: int, buckets: int) -> None:
    assert buckets_for(items) == buckets


def test_no_stage_has_more_files_than_can_be_planned() -> None:
    assert buckets_for(10**9) == 2048
