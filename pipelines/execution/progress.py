"""The progress of a stage: items, tokens a second, time left; a bar, or lines off a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spar_core.engine.meter import Meter

_REFRESH_S = 0.5

LINE_S, LATER_LINE_S = 10.0, 60.0
"""Seconds between two lines at first, and at most: a twentieth of the time that has passed."""

_STARTING = "starting"
"""Nothing was asked of an engine yet: it loads its model, say."""


@contextmanager
def progress(
    console: Console,
    stage: str,
    noun: str,
    done: int,
    total: int,
    meter: Meter,
    *,
    is_here: bool = True,
) -> Iterator[None]:
    """Show a stage's progress by the meter of this process while the body runs.

    Off a terminal a line says it, the first one after `LINE_S` seconds.

    Args:
        is_here: whether the work is done in this process. What is done in others does not move the
            meter; on other machines the runner's own page shows it.
    """
    if console.is_terminal:
        watching = _bar(console, stage, noun, done, total, meter)
    else:
        watching = _lines(console, stage, noun, done, total, meter, is_here=is_here)
    with watching:
        yield


@dataclass(slots=True)
class _Since:
    """What a meter has counted since this was made."""

    meter: Meter
    items_before: int = field(init=False)
    tokens_before: int = field(init=False)
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.items_before, self.tokens_before = self.meter.items, self.meter.completion_tokens
        self.start = time.monotonic()

    @property
    def items(self) -> int:
        return self.meter.items - self.items_before

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    @property
    def rate(self) -> str:
        """Tokens a second as a text; that the stage is starting where nothing was asked yet."""
        tokens = self.meter.completion_tokens - self.tokens_before
        if tokens > 0:
            return f"{tokens / max(1e-9, self.seconds):,.0f} tokens/s"
        return "" if self.items or self.meter.sequences else _STARTING


@contextmanager
def _bar(
    console: Console, stage: str, noun: str, done: int, total: int, meter: Meter
) -> Iterator[None]:
    bar = Progress(
        TextColumn(f"{stage:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(noun),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(stage, total=total, completed=done, rate=_STARTING)
        since, stop = _Since(meter), threading.Event()

        def show() -> None:
            bar.update(task, completed=done + since.items, rate=since.rate)

        def watch() -> None:
            while not stop.wait(_REFRESH_S):
                show()

        try:
            with _watched(watch, stop):
                yield
        finally:
            show()


@contextmanager
def _lines(
    console: Console,
    stage: str,
    noun: str,
    done: int,
    total: int,
    meter: Meter,
    *,
    is_here: bool,
) -> Iterator[None]:
    since, stop = _Since(meter), threading.Event()

    def line() -> str:
        if not is_here:
            return (
                f"{stage}: {total - done} {noun} in other processes, {since.seconds:.0f} s so far"
            )
        said = [f"{stage}: {done + since.items} of {total} {noun}", since.rate]
        said += [f"{since.seconds:.0f} s so far", _left(since, total - done)]
        return ", ".join(filter(None, said))

    def watch() -> None:
        while not stop.wait(min(LATER_LINE_S, max(LINE_S, since.seconds / 20))):
            console.print(line(), markup=False, soft_wrap=True)

    with _watched(watch, stop):
        yield


@contextmanager
def _watched(watch: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _left(since: _Since, pending: int) -> str:
    """How long the items that are left will take, at the pace so far; "" before the first one."""
    if not since.items:
        return ""
    left = since.seconds * max(0, pending - since.items) / since.items
    return f"about {left:.0f} s left" if left < 120 else f"about {left / 60:.0f} min left"
