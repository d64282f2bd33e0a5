"""A simulated fleet: what is known without simulating it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import fleet
from benchmarks.fleet import Fleet, Pace, simulate

STEADY = Fleet(prompts=6_400, engines=4, slots=16, lives_h=1e9, slow_share=0.0)
PACE = Pace(full=1.0, alone={16: 24.0, 64: 72.0, 1600: 1608.0})


def test_files_that_wait_for_their_end_take_what_each_takes_alone() -> None:
    best = STEADY.prompts / STEADY.engines / 3600
    drained = simulate(STEADY, PACE, 64, is_drained=True)
    assert drained.wall_h == pytest.approx(best * 72 / 64, rel=0.06)
    assert drained.drained == pytest.approx(8 / 72, rel=0.05)
    filled = simulate(STEADY, PACE, 64, is_drained=False)
    assert filled.wall_h == pytest.approx(best, rel=0.06)
    assert (filled.drained, filled.lost) == (0, 0)


def test_large_files_leave_engines_idle_behind_a_slow_one() -> None:
    slow = replace(STEADY, slow_share=0.25)
    small, large = (
        [simulate(slow, PACE, size, is_drained=False, seed=seed) for seed in range(9)]
        for size in (16, 1600)
    )
    assert sum(each.wall_h for each in large) > 1.1 * sum(each.wall_h for each in small)
    assert max(each.idle for each in small) < 0.05


def test_an_engine_that_is_taken_away_loses_what_is_in_progress() -> None:
    short = replace(STEADY, lives_h=0.1)
    found = simulate(short, PACE, 16, is_drained=False)
    steady = simulate(STEADY, PACE, 16, is_drained=False)
    assert 0 < found.lost < 0.5
    assert found.wall_h > steady.wall_h
    assert found == simulate(short, PACE, 16, is_drained=False), "by its seed alone"
    others = [simulate(short, PACE, 16, is_drained=False, seed=seed) for seed in (1, 2)]
    assert len({found.wall_h, *(each.wall_h for each in others)}) == 3


def test_a_table_has_a_row_for_each_size_and_way() -> None:
    made = fleet.measure(replace(STEADY, prompts=2_000), sizes=(16, 64), seeds=1)
    assert [row[1] for row in made.rows] == [16, 64, 16, 64]
    drained = [float(str(row[6]).rstrip("%")) for row in made.rows]
    assert drained[0] > drained[1] > drained[2] == 0
