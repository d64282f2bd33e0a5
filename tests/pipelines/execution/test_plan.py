"""Planning: what is shared out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks import large_run
from pipelines.execution.options import Job
from pipelines.execution.parts import parts
from pipelines.execution.plan import Part, Plan, buckets_for, items, pending, plan
from schemas.prompts import Prompt
from schemas.table import MAIN
from spar_core.dataset import Dataset, Settled
from spar_core.engine.protocol import Sampling
from spar_core.stages.sample import SAMPLE, SampleSettings


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


def planned(made: Plan) -> list[str]:
    """The keys in the work files of a plan."""
    return sorted(key for each in made.works for key in pq.read_table(each.path)["key"].to_pylist())


def test_what_is_committed_is_not_planned_again_and_what_failed_for_now_is(tmp_path: Path) -> None:
    dataset = Dataset(str(tmp_path), 1)
    prompts = [Prompt(f"p{n}", f"do {n}", "a file", n) for n in range(40)]
    dataset.commit("prompts", "0", [Settled(p.prompt_id, {"prompts": [p]}) for p in prompts])
    settings = SampleSettings(actor=Sampling(0.9, 0.9, 8))
    part = Part(SAMPLE, settings, MAIN, {}, None)
    first = plan(part, dataset, "one")
    assert (first.total, first.pending, first.committed) == (40, 40, 0)
    assert planned(first) == sorted(p.prompt_id for p in prompts)

    done = [Settled(f"p{n}", {}) for n in range(0, 40, 3)]
    dataset.commit("sample", "a", done)
    dataset.commit("sample", "b", [Settled("p1", {}, retry=True)])
    second = plan(part, dataset, "two")
    assert (second.total, second.pending, second.committed) == (40, 40 - len(done), len(done))
    assert planned(second) == sorted(f"p{n}" for n in range(40) if n % 3)
    assert pending(part, dataset) == second.pending

    dataset.commit("sample", "c", [Settled(f"p{n}", {}) for n in range(40) if n % 3])
    last = plan(part, dataset, "three")
    assert (last.total, last.pending, last.works) == (40, 0, [])
