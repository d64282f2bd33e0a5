"""Removing a folder of a run that somebody else may be removing, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fsspec

_TRIES = 10


def remove_folder(fs: fsspec.AbstractFileSystem, folder: str) -> None:
    """Remove a folder and all files in it; a folder that is not there is none to remove.

    A file can be gone between the listing of the folder and its removal: a killed process's last
    requests are still carried out by an object store, and a request whose reply was lost is sent
    again. Such a file is passed over, and the folder is listed once more.

    Raises:
        FileNotFoundError: files disappeared during each of ten removals.
    """
    for left in reversed(range(_TRIES)):
        fs.invalidate_cache(folder)
        if not fs.isdir(folder):
            return
        try:
            fs.rm(folder, recursive=True)
        except FileNotFoundError:
            if not left:
                raise
