"""Commands as they are typed here."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def python() -> str:
    """How to call this Python from the current folder."""
    if shutil.which("python") == sys.executable:
        return "python"
    return (
        os.path.relpath(sys.executable) if Path.cwd() in Path(sys.executable).parents else "python"
    )
