"""Ctrl-C, noticed where a run can stop cleanly.

KeyboardInterrupt can be raised anywhere, and where Beam or a destructor swallows it the run goes on
as if nothing had been pressed. So the first Ctrl-C only leaves a note; a second one raises.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_pressed = threading.Event()


def is_pressed() -> bool:
    """Whether the run should stop."""
    return _pressed.is_set()


@contextmanager
def noticed() -> Iterator[None]:
    """Take note of Ctrl-C while the body runs, unless it is ignored or not ours to handle."""
    _pressed.clear()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def press(_number: int, _frame: object) -> None:
        if _pressed.is_set():
            raise KeyboardInterrupt
        _pressed.set()

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
