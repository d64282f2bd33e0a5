"""The files of the page: replaced as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inspection.reproduction import output
from terminal.exits import UsageError


def test_page_and_plots_are_written_and_replaced(tmp_path: Path) -> None:
    page = tmp_path / "small.md"
    for text in ("old", "new ±"):
        output.write(page, text, {"a.png": text.encode()})
    assert page.read_text() == "new ±"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.md", "small_plots"]
    assert (tmp_path / "small_plots" / "a.png").read_bytes() == "new ±".encode()
    assert [path.name for path in (tmp_path / "small_plots").iterdir()] == ["a.png"]
    assert page.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_without_plots_there_is_no_folder(tmp_path: Path) -> None:
    output.write(tmp_path / "small.md", "x", {})
    assert [path.name for path in tmp_path.iterdir()] == ["small.md"]


def test_a_failure_leaves_the_old_page_and_no_scratch_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "small.md"
    output.write(page, "old", {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        output.write(page, "new", {})
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["small.md"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("small.html", "ends in .md"),
        ("", "ends in .md"),
        ("missing/small.md", "there is no folder"),
        ("folder.md", "is a folder"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(UsageError, match=says):
        output.check(tmp_path / name)
    output.check(tmp_path / "small.MD")
