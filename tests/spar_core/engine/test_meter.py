from __future__ import annotations

import threading

from spar_core.engine.meter import Meter


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
