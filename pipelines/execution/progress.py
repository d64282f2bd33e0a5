"""The progress of a stage: items, tokens a second, time left; a bar, or lines off a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spar_core.engine.meter import Meter
from terminal import pace
from terminal.console import Console

_REFRESH_S = 0.5

LINE_S, LATER_LINE_S = pace.FIRST_LINE_S, pace.LINE_S
"""Seconds before the first line off a terminal, and at most between two lines."""

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

    Off a terminal a line says it: the first one after `LINE_S` seconds, then in growing pauses, of
    `LATER_LINE_S` seconds at most.

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
        tokens, seconds = self.meter.completion_tokens - self.tokens_before, max(1e-9, self.seconds)
        if tokens > 0:
            return f"{tokens / seconds:,.0f} tokens/s"
        if self.items:
            return f"{self.items / seconds:,.1f} a second"
        return "" if self.meter.sequences else _STARTING


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
        left = pace.left(since.seconds, since.items, total - done - since.items)
        said += [f"{since.seconds:.0f} s so far", left]
        return ", ".join(filter(None, said))

    def watch() -> None:
        while not stop.wait(pace.pause(since.seconds, LINE_S, LATER_LINE_S)):
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
