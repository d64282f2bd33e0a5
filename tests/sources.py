"""The modules of the project, for tests of what they may name."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules_that_name(text: str, but: Sequence[str]) -> list[str]:
    """Return the paths of the tracked modules that hold a text.

    Args:
        but: how the paths of those begin that may hold it.
    """
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    others = [name for name in tracked if not name.startswith(tuple(but))]
    return [name for name in others if text in (ROOT / name).read_text()]
