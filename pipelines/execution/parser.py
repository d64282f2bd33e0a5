"""Command lines of jobs: mistakes are raised, and dashes in names are underscores."""

from __future__ import annotations

import argparse
from typing import NoReturn

from terminal.exits import UsageError


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def underscored(argument: str) -> str:
    """`--engine-url` is `--engine_url`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value
