"""The large run that is made of a small one's rows is a run, and what is measured on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import large_run, million, object_store
from pipelines.execution.work import bucket_name
from spar_core.dataset import Dataset
from tests.pipelines import rounds


@pytest.mark.slow
def test_it_is_a_run_with_the_prompts_asked_for(tmp_path: Path) -> None:
    template, run = tmp_path / "template", tmp_path / "run"
    large_run.write(str(template), 100, seed=2, shard_prompts=40, shorter=3)
    million.write(str(run), 500, str(template))
    rounds.check(run)
    assert rounds.query(run, "select count(*) from prompts") == [(500,)]
    assert rounds.query(run, "select count(*) > 100 from pairs") == [(True,)]
    dataset = Dataset(str(run), 1)
    buckets = dataset.buckets("judge", "main", 1)
    entries = list(dataset.entries("judge").values())
    assert len(entries) == buckets
    sql = f"select distinct md5_number_lower(prompt_id) % {buckets} from judgements where "
    for entry in entries[:3]:
        [(number,)] = rounds.query(run, sql + f"response_id in {tuple(entry.keys)}")
        assert bucket_name(number) == entry.work


@pytest.mark.slow
def test_it_is_measured_on_a_disk_and_on_an_object_store() -> None:
    made = million.measure(600, 300)
    for where in ("disk", "object store"):
        what = [row[1] for row in made.rows if row[0] == where]
        assert "opening" in what and "merging all stages" in what
        assert [each for each in what if str(each).startswith("planning judge")]
        assert made.data[where]["files"]["files after"] < 10


def test_a_store_that_is_served_is_empty_and_gone_afterwards() -> None:
    with object_store.serving() as url:
        Dataset(f"{url}/run", 1).commit("s", "w", [], {"requests": 1.0})
        assert len(Dataset(f"{url}/run", 1).entries()) == 1
    with object_store.serving() as url:
        assert Dataset(f"{url}/run", 1).entries() == {}
