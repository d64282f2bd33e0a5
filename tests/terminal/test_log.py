"""Warnings hold no escape sequence of a server or a model."""

from __future__ import annotations

import pytest

from terminal.log import warn
from tests.sources import modules_that_name


def test_a_warning_is_text_without_login(caplog: pytest.LogCaptureFixture) -> None:
    warn("some.module", "http://me:secret@host says \x1b[2J100%s")
    [record] = caplog.records
    assert record.getMessage() == "http://***@host says \\u001b[2J100%s"
    assert (record.name, record.levelname) == ("some.module", "WARNING")


def test_all_warnings_go_this_way() -> None:
    may = ("tests/", "benchmarks/", "terminal/log.py")
    assert modules_that_name("getLogger(__name__)", but=may) == []
