"""What a process's engine did so far, for progress bars and metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Counts since the process started; written on the engine's loop, read from anywhere.

    engine_seconds: time with at least one request in flight.
    """

    requests: int = 0
    retries: int = 0
    in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    items: int = 0
    failures: int = 0


METER = Meter()
"""The meter of this process."""
