"""An HTML file that is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(output: Path) -> Iterator[IO[str]]:
    """A new file that takes the output's place when the body is done, and is gone if it fails.

    Raises:
        ValueError, OSError: the name is no good, or nothing can be written there.
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output {output}: give it a name that ends in .html")
    if output.is_dir():
        raise IsADirectoryError(f"--output {output} is a folder: name a file in it")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"--output {output}: there is no folder {output.parent}; make it")
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=".report-", suffix=".html")
    except OSError as error:
        raise type(error)(f"--output {output} cannot be written: {error.strerror}") from error
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
