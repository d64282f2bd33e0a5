"""The page and its plots on disk, each there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from terminal.exits import UsageError


def check(output: Path) -> None:
    """Raise UsageError unless a Markdown page can be made under this name."""
    if output.suffix.lower() != ".md":
        raise UsageError(f"--output {output}: give it a name that ends in .md")
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder: name a file in it")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}; make it")


def plots_folder(output: Path) -> Path:
    """Return the folder of a page's plots, beside the page."""
    return output.with_name(f"{output.stem}_plots")


def write(output: Path, page: str, plots: Mapping[str, bytes]) -> None:
    """Write the plots, then the page that shows them; existing files are replaced.

    Args:
        plots: PNG files by name.

    Raises:
        OSError: a file cannot be written; those before it are written, none is left half.
    """
    folder = plots_folder(output)
    if plots:
        folder.mkdir(exist_ok=True)
    for name, png in plots.items():
        _replace(folder / name, png)
    _replace(output, page.encode())


def _replace(path: Path, content: bytes) -> None:
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".reproduction-")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(scratch, 0o666 & ~_umask())
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
