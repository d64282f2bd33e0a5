"""Prism, Beam's own runner, built once by Go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from apache_beam.version import __version__ as version

_CACHE = Path(__file__).parents[3] / "build" / "prism"


def binary() -> Path:
    """The program, of the version of Beam that is installed.

    Raises:
        RuntimeError: it cannot be had.
    """
    folder = _CACHE / version
    if (folder / "prism").is_file():
        return folder / "prism"
    if not shutil.which("go"):
        raise RuntimeError("Prism needs Go: install it (go on the PATH)")
    module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{version}"
    done = subprocess.run(
        ["go", "install", module],
        env={**os.environ, "GOBIN": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Go cannot build Prism: {done.stderr.strip().splitlines()[-1]}")
    return folder / "prism"
