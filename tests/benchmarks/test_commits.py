"""The workload of commits, by each way that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import commits
from benchmarks.commits import CONTENDERS, Contender


def _installed(contender: Contender) -> Contender:
    if not contender.is_there:
        pytest.skip(f"{contender.package} is not installed: pip install -e '.[bench]'")
    return contender


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: str(each.name))
def test_what_is_committed_is_read(contender: Contender, tmp_path: Path) -> None:
    store = _installed(contender).at(tmp_path)
    store.prepare()
    for bucket, numbers in commits._batches(2, writer=0):
        store.commit(bucket, [commits._judgement(number) for number in numbers])
    seen = commits._seen(contender.at(tmp_path), 2)
    assert (seen.rows, seen.twice, seen.lost) == (200, 0, 0)
    assert commits._left(contender, tmp_path).orphans == 0


@pytest.mark.parametrize(
    "name", ["our manifest", "deltalake, merge", "deltalake, transaction", "pyiceberg, upsert"]
)
def test_what_is_there_already_is_left_out(name: str, tmp_path: Path) -> None:
    contender = _installed(next(each for each in CONTENDERS if each.name == name))
    contender.at(tmp_path).prepare()
    for writer in range(2):
        store = contender.at(tmp_path)
        for bucket, numbers in commits._batches(2, writer):
            store.commit(bucket, [commits._judgement(number) for number in numbers])
    seen = commits._seen(contender.at(tmp_path), 2)
    assert (seen.rows, seen.twice, seen.lost) == (200, 0, 0)


def test_each_writer_has_all_items_in_batches_of_its_own() -> None:
    one, other = (list(commits._batches(12, writer)) for writer in range(2))
    assert one != other
    for batches in (one, other):
        assert sorted(number for _, some in batches for number in some) == list(range(1200))


@pytest.mark.slow
def test_commits() -> None:
    made = commits.measure(3, kills=1)
    assert made.rows[0][0] == "our manifest"
    outcome = made.data["outcomes"]["our manifest"]
    for seen in ("alone_seen", "racing_seen", "kills_seen"):
        assert (outcome[seen]["twice"], outcome[seen]["lost"]) == (0, 0)
    assert outcome["memory"] == "yes"
