"""A folder of this user among the temporary ones: nobody else's is taken for it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from spar_core.engine.own_folder import own_folder
from spar_core.engine.protocol import EngineGone


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_made_for_this_user_alone_and_found_again(temporary: Path) -> None:
    made = own_folder("some")
    assert made == temporary / f"some-{os.getuid()}"
    assert made.stat().st_mode & 0o777 == 0o700
    (made / "kept").touch()
    assert (own_folder("some") / "kept").exists()


def test_an_earlier_one_that_others_could_write_to_is_closed_to_them(temporary: Path) -> None:
    place = temporary / f"some-{os.getuid()}"
    place.mkdir()
    place.chmod(0o777)
    assert own_folder("some").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_owner_is_refused(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary / "some-12345").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(EngineGone, match="belongs to another user or is no folder: remove it"):
        own_folder("some")


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_what_is_no_folder_is_refused(temporary: Path, kind: str) -> None:
    place = temporary / f"some-{os.getuid()}"
    target = temporary / "target"
    if kind == "file":
        place.touch()
    else:
        if kind == "link":
            target.mkdir()
        place.symlink_to(target)
    with pytest.raises(EngineGone, match="TMPDIR"):
        own_folder("some")
    assert not target.exists() or not list(target.iterdir())
