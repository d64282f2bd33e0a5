"""Warnings hold no escape sequence of a server or a model."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terminal.log import warn


def test_a_warning_is_text_without_login(caplog: pytest.LogCaptureFixture) -> None:
    warn("some.module", "http://me:secret@host says \x1b[2J100%s")
    [record] = caplog.records
    assert record.getMessage() == "http://***@host says \\u001b[2J100%s"
    assert (record.name, record.levelname) == ("some.module", "WARNING")


def test_all_warnings_go_this_way() -> None:
    root = Path(__file__).parents[2]
    names = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    others = [
        name
        for name in names
        if not name.startswith(("tests/", "benchmarks/"))
        and name != "terminal/log.py"
        and "getLogger(__name__)" in (root / name).read_text()
    ]
    assert others == []
