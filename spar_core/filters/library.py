"""Libraries that only the filters need: imported when one is first used."""

from __future__ import annotations

import importlib
from typing import Any


class NoLibrary(ImportError):
    """A filter's library is not installed."""


def needed(module: str, package: str, by: str) -> Any:
    """A module of an optional package.

    Args:
        package: as pip takes it. by: what cannot be done without it.

    Raises:
        NoLibrary: with the remedy.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NoLibrary(f"{by} need {package} ({error}): pip install '{package}'") from None
