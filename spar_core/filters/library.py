"""Libraries that only the filters need: imported when one is first used."""

from __future__ import annotations

import importlib
from typing import Any

from terminal.packages import extra, missing, not_imported


class NoLibrary(ImportError):
    """A filter's library is not installed."""


def needed(module: str, package: str, by: str, of: str) -> Any:
    """A module of an optional package.

    Args:
        package: its name. by: what cannot be done without it. of: the extra that has it.

    Raises:
        NoLibrary: with the remedy.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError):
            raise NoLibrary(missing(by, package, extra(of))) from None
        raise NoLibrary(not_imported(by, error, extra(of))) from None
