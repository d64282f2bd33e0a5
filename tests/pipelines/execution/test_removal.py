"""Folders that others remove, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from pipelines.execution.removal import remove_folder


class Shared(LocalFileSystem):
    """A file system of which somebody else removes files first, in so many removals."""

    cachable = False

    def __init__(self, disturbed: int) -> None:
        super().__init__()
        self.left = disturbed

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> Any:
        if self.left:
            self.left -= 1
            raise FileNotFoundError(next(Path(path).iterdir()))
        return super().rm(path, recursive, maxdepth)


@pytest.mark.parametrize("disturbed", [0, 1, 3])
def test_files_that_are_gone_already_are_passed_over(tmp_path: Path, disturbed: int) -> None:
    folder = tmp_path / "plan"
    folder.mkdir()
    (folder / "b0001.parquet").touch()
    remove_folder(Shared(disturbed), str(folder))
    assert not folder.exists()
    remove_folder(Shared(0), str(folder))


def test_it_does_not_try_for_ever(tmp_path: Path) -> None:
    (tmp_path / "b0001.parquet").touch()
    with pytest.raises(FileNotFoundError):
        remove_folder(Shared(1000), str(tmp_path))
