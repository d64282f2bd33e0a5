"""When a job says how far it is where its output is no terminal, and how it says what is left."""

from __future__ import annotations

FIRST_LINE_S, LINE_S = 10.0, 60.0
"""Seconds before the first line, and at most between two lines."""


def pause(passed: float, first: float = FIRST_LINE_S, most: float = LINE_S) -> float:
    """Return the seconds until the next line: as many as have passed, within the two bounds.

    So the lines come after 10, 20, 40 and 80 s, and then every minute.

    Args:
        passed: seconds since the work began.
        first: the shortest pause, in seconds.
        most: the longest pause, in seconds.
    """
    return min(most, max(first, passed))


def left(passed: float, done: float, pending: float) -> str:
    """Return how long the pending items will take at the pace so far; "" before the first one.

    Args:
        passed: seconds in which `done` items were done.
        done: how many items were done.
        pending: how many items are still to be done.
    """
    if done <= 0:
        return ""
    seconds = passed * max(0.0, pending) / done
    return f"about {seconds:.0f} s left" if seconds < 120 else f"about {seconds / 60:.0f} min left"
