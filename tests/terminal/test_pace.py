"""Pauses between lines of progress, and what is said to be left."""

from __future__ import annotations

import itertools

import pytest

from terminal import pace


def test_lines_come_after_ten_seconds_then_in_growing_pauses_up_to_a_minute() -> None:
    def following(now: float, _: None) -> float:
        return now + pace.pause(now)

    moments = itertools.accumulate(itertools.repeat(None, 7), following, initial=0.0)
    assert list(moments) == [0, 10, 20, 40, 80, 140, 200, 260]


@pytest.mark.parametrize(
    ("passed", "done", "pending", "said"),
    [
        (60, 0, 9, ""),
        (60, 3, 6, "about 2 min left"),
        (60, 6, 3, "about 30 s left"),
        (60, 6, 0, "about 0 s left"),
        (60, 1, 59, "about 59 min left"),
    ],
)
def test_what_is_left_goes_by_the_pace_so_far(
    passed: float, done: float, pending: float, said: str
) -> None:
    assert pace.left(passed, done, pending) == said
