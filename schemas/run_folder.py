"""The folder of a run on any file system that fsspec knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fsspec


class NotOpened(ValueError):
    """The file system of a run is not known, or the package that reads it is not installed."""


def opened(run: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a run, and the run's path there.

    Args:
        run: a path, or a URL such as `gs://...`.

    Raises:
        NotOpened: there is no such file system, or its package is missing; says so in a line.
    """
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(run)
    except (ImportError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise NotOpened(f"cannot open the run {run}: {said}") from None
    return fs, str(root)
