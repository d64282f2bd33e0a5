"""A batch: what runs side by side, step by step."""

from __future__ import annotations

from spar_core.costs.batching import Clock, Span, batch
from spar_core.costs.taken import JUDGE, SAMPLE, Request, Steps


def asking(*answers: int, stage: str = SAMPLE, prompt: int = 0) -> tuple[Request, ...]:
    return (Request(stage, prompt, answers),)


def test_sequences_run_side_by_side_as_far_as_there_are_slots() -> None:
    items: list[Steps] = [(asking(10, 4),), (asking(6),)]
    # Two slots: 10 beside 4 and then 6. Three: all at once.
    assert batch(items, 2).whole == Span(10, 20, 0)
    assert batch(items, 3).whole == Span(10, 20, 0)
    assert batch(items, 1).whole == Span(20, 20, 0)


def test_a_step_waits_for_all_of_the_one_before() -> None:
    item: Steps = (asking(5, 9, prompt=7), asking(3, prompt=11))
    assert batch([item], 8).whole == Span(12, 17, 18)


def test_stages_are_busy_while_anything_of_theirs_is_in_flight() -> None:
    item: Steps = (asking(5), asking(3, stage=JUDGE))
    other: Steps = (asking(8),)
    found = batch([item, other], 8)
    assert {stage: span.steps for stage, span in found.busy.items()} == {SAMPLE: 8, JUDGE: 3}
    assert found.whole == Span(8, 16, 0)


def test_nothing_takes_no_time() -> None:
    assert batch([], 4).whole == Span()
    assert batch([(), ((),)], 4).whole == Span()


def test_time_is_shared_by_engines_but_for_the_step() -> None:
    span = Span(steps=100, tokens=1000, prompt_tokens=500)
    clock = Clock(step=0.01, sequence=0.001, prompt_token=0.002)
    assert span.seconds(clock) == 1 + 1 + 1
    assert span.seconds(clock, engines=2) == 1 + 0.5 + 0.5
