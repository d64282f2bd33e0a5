"""How this Python is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from terminal.interpreter import python


@pytest.mark.parametrize(
    ("found", "folder", "said"),
    [(True, "else", "python"), (False, "here", ".venv/bin/python"), (False, "else", "python")],
)
def test_it_is_called_as_one_would_type_it(
    found: bool, folder: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "else"):
        (tmp_path / name).mkdir()
    binary = tmp_path / "here/.venv/bin/python"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(binary))
    monkeypatch.setenv("PATH", str(binary.parent if found else tmp_path))
    monkeypatch.chdir(tmp_path / folder)
    assert python() == said
