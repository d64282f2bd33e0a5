from __future__ import annotations

import os
import signal

import pytest

from pipelines.execution import interrupt


def test_the_first_ctrl_c_is_noted_and_the_second_raises() -> None:
    with interrupt.noticed():
        assert not interrupt.is_pressed()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.is_pressed()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupt.noticed():
        assert not interrupt.is_pressed(), "a later run starts afresh"


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.noticed():
            os.kill(os.getpid(), signal.SIGINT)
            assert not interrupt.is_pressed()
    finally:
        signal.signal(signal.SIGINT, before)
