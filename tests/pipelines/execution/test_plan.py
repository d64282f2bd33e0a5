"""Planning: what is shared out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import large_run
from pipelines.execution.options import Job
from pipelines.execution.parts import parts
from pipelines.execution.plan import buckets_for, items
from spar_core.dataset import Dataset


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job of a run that has more rows than a few."""
    run = str(tmp_path_factory.mktemp("large") / "run")
    large_run.write(run, 2_000)
    return replace(large_run.job_of(run), dataset=Dataset(run, 1))


@pytest.mark.parametrize(
    ("items", "buckets"),
    [(1, 16), (200, 25), (2_000, 64), (10_000, 156), (100_000, 256), (1_000_000, 1_953)],
)
def test_items_are_shared_out_in_buckets(items: int, buckets: int) -> None:
    assert buckets_for(items) == buckets


def test_no_stage_has_more_files_than_can_be_planned() -> None:
    assert buckets_for(10**9) == 2048


@pytest.mark.parametrize("stage", ["judge", "tree_search", "pairs", "rft"])
def test_what_little_memory_is_not_enough_for_is_planned_with_more(
    large: Job, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr("pipelines.execution.plan._MEMORY", "8MB")
    [part] = [each.part for each in parts(large, None) if each.part.stage.name == stage]
    with items(part, large.dataset, "key") as connection:
        [(limit,)] = connection.execute("select current_setting('memory_limit')").fetchall()
        [(some,)] = connection.execute("select count(*) from wanted").fetchall()
    assert limit != "7.6 MiB", "it was not enough"
    assert some > 100
