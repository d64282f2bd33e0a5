"""Tries of a request that failed and may be repeated, and how long to wait before the next."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

_LONG_WAIT_S = 20.0
_ASKED_WAIT_S = 60.0


class Fault(Exception):
    """A try that failed and may be repeated.

    busy: the engine is not there or takes no more for now; such tries are repeated for as long as
    patience lasts. silent: no answer came at all. sent: the server may have had the request.
    """

    def __init__(
        self,
        message: str,
        *,
        busy: bool = False,
        silent: bool = False,
        sent: bool = True,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.busy = busy
        self.silent = silent
        self.sent = sent
        self.wait_s = wait_s


@dataclass(slots=True)
class Tries:
    """What befell one request so far, wherever it was sent."""

    sent: int = 0
    hard_faults: int = 0
    busy_since: float | None = None

    def add(self, fault: Fault) -> None:
        if not fault.busy:
            self.hard_faults += 1
            self.busy_since = None
        elif self.busy_since is None:
            self.busy_since = time.monotonic()

    def are_enough(self, attempts: int, patience_s: float) -> bool:
        """Whether the request is given up: it failed too often, or was put off for too long."""
        kept_waiting = 0.0 if self.busy_since is None else time.monotonic() - self.busy_since
        return self.hard_faults >= attempts or kept_waiting >= 2 * patience_s


def backoff_s(fault: Fault, attempt: int) -> float:
    """Seconds of backoff with jitter; a wait that the server asks for comes first."""
    if fault.wait_s is not None:
        return min(fault.wait_s, _ASKED_WAIT_S)
    return random.uniform(0, min(0.5 * 2 ** min(attempt - 1, 10), _LONG_WAIT_S))
