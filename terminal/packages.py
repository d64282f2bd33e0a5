"""Packages that are not installed: one message for them all, and what to install."""

from __future__ import annotations

import importlib.util
import sys

_BASE = "rich"
"""A package that every command needs and that no Python has by itself."""


def extra(*names: str) -> str:
    """Return what pip installs for extras of this project, as a shell takes it."""
    return f"'.[{','.join(names)}]'"


def missing(what: str, package: str, install: str) -> str:
    """Return the message about a package that is missing.

    Args:
        what: what needs the package: a command, an option or a file.
        package: the package, or the module that was looked for.
        install: what pip installs, as a shell takes it.
    """
    return f"{what} needs the package {package}: pip install {install}"


def not_imported(what: str, error: ImportError, install: str) -> str:
    """Return the message about a failed import: the module that is missing, or what is wrong."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return missing(what, error.name.partition(".")[0], install)
    return f"{what} needs a package that cannot be imported ({error}): pip install {install}"


def check_environment() -> None:
    """End `python -m ...` in one line if this Python has none of the project's packages.

    A package of commands calls this when it is imported, before it imports anything else.
    """
    if sys.argv[:1] == ["-m"] and importlib.util.find_spec(_BASE) is None:
        advice = "`source .venv/bin/activate` enters the environment that `make demo` makes"
        sys.stderr.write(f"error: {missing('this command', _BASE, '.')} ({advice})\n")
        raise SystemExit(2)
