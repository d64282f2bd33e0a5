"""Tells a server that refuses everything from requests that are refused for what they are."""

from __future__ import annotations

from dataclasses import dataclass

IN_A_ROW = {"refused": 20, "too_long": 100, "discarded": 100, "cut_thinking": 100}
"""So many refusals of a cause in a row, and the server takes nothing. Prompts too long, and those
that a filter objects to, come in heaps where a file is sorted; a server that misses a feature
misses it for all."""


@dataclass(slots=True)
class _Run:
    """Refused requests that were sent one right after another, by cause."""

    first: int
    last: int
    counts: dict[str, int]


class Refusals:
    """Counts refused requests in a row, in the order in which they were sent.

    In the order of arrival a few refusals, which come at once, would look like a row while good
    answers are being written. Any good answer ends all rows. Used on one event loop.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._runs: dict[int, _Run] = {}

    def send(self) -> int:
        """The number of a request that is sent now."""
        self._sent += 1
        return self._sent

    def answered(self) -> None:
        """A good answer came."""
        self._runs.clear()

    def refused(self, number: int, cause: str) -> int:
        """A request was refused; returns how many in a row it ends where these are too many."""
        counts = dict.fromkeys(IN_A_ROW, 0)
        counts[cause] += 1
        run = _Run(number, number, counts)
        before, after = self._runs.get(number - 1), self._runs.get(number + 1)
        for neighbour in (before, after):
            if neighbour:
                run.first = min(run.first, neighbour.first)
                run.last = max(run.last, neighbour.last)
                for name, count in neighbour.counts.items():
                    counts[name] += count
        self._runs[run.first] = self._runs[run.last] = run  # only the ends are ever looked up
        is_too_many = any(counts[name] >= limit for name, limit in IN_A_ROW.items())
        return run.last - run.first + 1 if is_too_many else 0
