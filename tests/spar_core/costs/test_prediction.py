"""Predictions: from some prompts of a population to all of it, with a clock that is not known."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from spar_core.costs.batching import Clock, batch
from spar_core.costs.prediction import (
    ROUND,
    Measured,
    Used,
    Width,
    changed,
    learn,
    predict,
    seconds,
)
from spar_core.costs.savings import stop_votes
from spar_core.costs.taken import STAGES, Taken
from tests.spar_core.costs.drawn import drawn

CLOCK = Clock(0.008, 0.00004, 0.00001)
ALL = drawn(256)


def used(taken: Sequence[Taken], slots: int, *, together: bool = False) -> dict[str, Used]:
    """What an engine with this clock is asked, and how long it is busy."""
    if together:
        busy = batch([each.through(STAGES) for each in taken], slots).busy
    else:
        busy = {}
        for stage in STAGES:
            busy |= batch([item for each in taken for item in each.items(stage)], slots).busy
    found = {}
    for stage, span in busy.items():
        asked = [request for each in taken for request in each.requests(stage)]
        tokens = sum(sum(request.answers) for request in asked)
        prompt_tokens = sum(request.prompt_tokens for request in asked)
        found[stage] = Used(len(asked), prompt_tokens, tokens, span.seconds(CLOCK))
    return found


def measured(taken: Sequence[Taken], slots: int, *, together: bool = False) -> Measured:
    return Measured(len(taken), tuple(taken), used(taken, slots, together=together))


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_probe_tells_what_all_take(seed: int, together: bool) -> None:
    width = Width(128, together=together)
    probe = random.Random(seed).sample(ALL, 32)
    found = predict(learn(measured(probe, 128, together=together), width), len(ALL), width)
    spent = used(ALL, 128, together=together)
    tokens = sum(each.completion_tokens for each in spent.values())
    assert found.total["completion_tokens"].value == pytest.approx(tokens, rel=0.15)
    whole = (
        batch([each.through(STAGES) for each in ALL], 128).whole.seconds(CLOCK)
        if together
        else sum(each.seconds for each in spent.values())
    )
    assert found.wall.value == pytest.approx(whole, rel=0.15)
    assert found.seconds.keys() == ({ROUND} if together else {*STAGES})


def test_nine_ranges_of_ten_hold_what_is_true() -> None:
    tokens = sum(each.completion_tokens for each in used(ALL, 128).values())
    width, held = Width(128), 0
    for seed in range(20):
        probe = random.Random(seed).sample(ALL, 16)
        model = learn(measured(probe, 128), width)
        found = predict(model, len(ALL), width).total["completion_tokens"]
        held += found.low <= tokens <= found.high
    assert 14 <= held <= 20


def test_the_clock_is_found_where_the_engine_was_more_and_less_full() -> None:
    model = learn(measured(ALL[:32], 256), Width(256))
    full = model.clock.step + 256 * model.clock.sequence
    assert full == pytest.approx(CLOCK.step + 256 * CLOCK.sequence, rel=0.1)


def test_what_was_measured_is_predicted_again() -> None:
    width, of = Width(64), measured(ALL[:20], 64)
    model = learn(of, width)
    for stage, lasting in seconds(model, 20, width).items():
        assert lasting == pytest.approx(of.used[stage].seconds)
    found = predict(model, 20, width)
    for stage, spent in of.used.items():
        assert found.counts[stage]["requests"].value == pytest.approx(spent.requests)


def test_retries_are_counted_as_often_again() -> None:
    of = measured(ALL[:20], 64)
    twice = {
        stage: Used(2 * u.requests, 2 * u.prompt_tokens, 2 * u.completion_tokens, 2 * u.seconds)
        for stage, u in of.used.items()
    }
    once = predict(learn(of, Width(64)), 100, Width(64))
    found = predict(learn(Measured(20, of.taken, twice), Width(64)), 100, Width(64))
    assert found.total["completion_tokens"].value == pytest.approx(
        2 * once.total["completion_tokens"].value
    )
    assert found.wall.value == pytest.approx(2 * once.wall.value)


def test_more_engines_take_less_time_and_no_fewer_hours() -> None:
    model = learn(measured(ALL[:32], 64), Width(64))
    walls = [predict(model, 5_000, Width(64, engines=n)).wall.value for n in (1, 2, 4, 8)]
    assert walls == sorted(walls, reverse=True)
    hours = [wall * n for wall, n in zip(walls, (1, 2, 4, 8), strict=True)]
    assert hours[0] <= hours[-1] < 1.3 * hours[0]


def test_many_prompts_take_as_much_more_time() -> None:
    model = learn(measured(ALL[:32], 64), Width(64))
    some, many = (predict(model, n, Width(64)).wall.value for n in (10_000, 1_000_000))
    assert many == pytest.approx(100 * some, rel=0.02)


def test_a_model_that_is_changed_keeps_its_retries_and_its_clock() -> None:
    model = learn(measured(ALL[:20], 64), Width(64))
    fewer = changed(model, lambda taken: stop_votes(taken, 5, 3))
    assert fewer.clock == model.clock
    before, after = (predict(each, 100, Width(64)) for each in (model, fewer))
    assert after.counts["sample"] == before.counts["sample"]
    judge = "judge"
    assert (
        0.6
        < after.counts[judge]["completion_tokens"].value
        / before.counts[judge]["completion_tokens"].value
        < 0.95
    )
    assert after.counts[judge]["requests"].value > before.counts[judge]["requests"].value
