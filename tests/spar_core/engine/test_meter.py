from __future__ import annotations

import threading

from spar_core.engine.meter import Meter, Usage


def test_every_use_is_taken_once_whoever_takes() -> None:
    meter, taken = Meter(), []

    def use() -> None:
        for _ in range(500):
            started = meter.start(2)
            meter.count(requests=1, completion_tokens=3)
            meter.end(2, started)

    def take() -> None:
        for _ in range(200):
            taken.append(meter.take())

    threads = [threading.Thread(target=f) for f in (use, use, take, take)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.append(meter.take())
    assert sum(usage.requests for usage in taken) == 1000
    assert sum(usage.completion_tokens for usage in taken) == 3000
    assert sum(len(usage.latencies_ms) for usage in taken) == 1000
    assert meter.sequences == 0


def test_engine_time_is_the_time_with_something_in_flight() -> None:
    meter = Meter()
    outer = meter.start(1)
    inner = meter.start(1)
    meter.end(1, inner)
    between = meter.take().engine_s
    meter.end(1, outer)
    assert between > 0
    assert meter.take().engine_s > 0
    assert meter.take().engine_s == 0


def test_what_is_given_back_is_taken_again_with_what_came_since() -> None:
    meter = Meter()
    meter.count(requests=1, retries=2, replayed=3, prompt_tokens=4, completion_tokens=5)
    meter.end(1, meter.start(1))
    first = meter.take()
    meter.count(requests=10, prompt_tokens=40, completion_tokens=50)
    meter.end(2, meter.start(2))
    meter.restore(first)
    again = meter.take()
    assert (again.requests, again.retries, again.replayed) == (11, 2, 3)
    assert (again.prompt_tokens, again.completion_tokens) == (44, 55)
    assert sorted(again.slots) == [1, 2] and len(again.latencies_ms) == 2
    assert again.engine_s > first.engine_s > 0
    assert meter.completion_tokens == 55, "a bar does not go back, nor twice forward"
    assert meter.take() == Usage()
