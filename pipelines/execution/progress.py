"""A progress bar of a stage: items, tokens a second, time left. Silent off a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spar_core.engine.host import METER

_REFRESH_S = 0.5


@contextmanager
def progress(console: Console, stage: str, noun: str, done: int, total: int) -> Iterator[None]:
    """Show a stage's progress by the process's meter while the body runs.

    Work on other machines does not move the bar: there the runner's own page shows it.
    """
    if not console.is_terminal:
        yield
        return
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
    stop = threading.Event()
    with bar:
        task = bar.add_task(stage, total=total, completed=done, rate="")
        items, tokens, start = METER.items, METER.completion_tokens, time.monotonic()

        def show() -> None:
            rate = (METER.completion_tokens - tokens) / max(1e-9, time.monotonic() - start)
            said = f"{rate:,.0f} tokens/s" if METER.completion_tokens > tokens else ""
            bar.update(task, completed=done + METER.items - items, rate=said)

        def watch() -> None:
            while not stop.wait(_REFRESH_S):
                show()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            show()
