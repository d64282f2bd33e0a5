"""What the engines of a process do, for progress bars, metrics and the run's own account."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Usage:
    """What was asked of engines in a span of time.

    requests: as often as anything was sent. retries: those among them that were sent before and
    had failed. replayed: requests answered from the journal, at no cost now; their tokens are what
    they cost before. engine_s: seconds with at least one request in flight. latencies_ms: of each
    request, with its retries. slots: sequences in flight, noted whenever a request ends.
    """

    requests: int = 0
    retries: int = 0
    replayed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    engine_s: float = 0.0
    latencies_ms: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    replayed_prompt_tokens: int = 0
    replayed_completion_tokens: int = 0

    def merge(self, other: Usage) -> None:
        """Add another span's use to this one."""
        self.requests += other.requests
        self.retries += other.retries
        self.replayed += other.replayed
        self.replayed_prompt_tokens += other.replayed_prompt_tokens
        self.replayed_completion_tokens += other.replayed_completion_tokens
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.engine_s += other.engine_s
        self.latencies_ms += other.latencies_ms
        self.slots += other.slots


purpose: ContextVar[str] = ContextVar("purpose", default="")
"""What the current task asks engines for, the name of a stage say: uses are told apart by it."""


@dataclass(slots=True)
class _Account:
    """What was used for one purpose, and since when something of it is in flight."""

    usage: Usage = field(default_factory=Usage)
    sequences: int = 0
    busy_since: float | None = None

    def add_busy(self, now: float) -> None:
        if self.busy_since is not None:
            self.usage.engine_s += now - self.busy_since
            self.busy_since = now


class Meter:
    """Counts of some engines, by purpose; written on their loop, read and taken from any thread.

    sequences: in flight now. completion_tokens, items: since the meter was made, for a progress
    bar; nobody takes these.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}
        self.sequences = 0
        self.completion_tokens = 0
        self.items = 0

    def start(self, sequences: int) -> float:
        """A request goes out; returns the time, for `end`."""
        now = time.monotonic()
        with self._lock:
            account = self._account(purpose.get())
            if not account.sequences:
                account.busy_since = now
            account.sequences += sequences
            self.sequences += sequences
        return now

    def end(self, sequences: int, started: float) -> None:
        """A request came back, answered or not."""
        now = time.monotonic()
        with self._lock:
            account = self._account(purpose.get())
            account.usage.slots.append(self.sequences)
            account.usage.latencies_ms.append(round((now - started) * 1000))
            account.sequences -= sequences
            self.sequences -= sequences
            if not account.sequences:
                account.add_busy(now)
                account.busy_since = None

    def count(
        self,
        *,
        requests: int = 0,
        retries: int = 0,
        replayed: int = 0,
        replayed_prompt_tokens: int = 0,
        replayed_completion_tokens: int = 0,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        with self._lock:
            usage = self._account(purpose.get()).usage
            usage.requests += requests
            usage.retries += retries
            usage.replayed += replayed
            usage.replayed_prompt_tokens += replayed_prompt_tokens
            usage.replayed_completion_tokens += replayed_completion_tokens
            usage.prompt_tokens += prompt_tokens
            usage.completion_tokens += completion_tokens
            self.completion_tokens += completion_tokens

    def take(self, purpose: str = "") -> Usage:
        """What was used for a purpose since the last taking; every use is taken once."""
        with self._lock:
            account = self._account(purpose)
            account.add_busy(time.monotonic())
            taken, account.usage = account.usage, Usage()
            return taken

    def restore(self, usage: Usage, purpose: str = "") -> None:
        """Give back what was taken and could not be written; the next taking has it too."""
        with self._lock:
            self._account(purpose).usage.merge(usage)

    def _account(self, purpose: str) -> _Account:
        return self._accounts.setdefault(purpose, _Account())
