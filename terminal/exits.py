"""Exit codes of all commands, and the errors that a user can do something about."""

from __future__ import annotations

from terminal.console import Console

DONE = 0
BAD_USAGE = 2
"""The command line or the input as a whole is no good; nothing was done."""
WITH_FAILURES = 3
"""Done, but some items are in the table `failures`, or the judge's votes are of no use."""
NOTHING_LEFT = 3
"""Of a training: no row is left to train on."""
STOPPED = 4
"""The same command goes on."""
OTHER_SETTINGS = 5
"""What is there was begun with other settings; nothing was done."""
INTERRUPTED = 130
"""Of a query: given up by Ctrl-C."""


class UsageError(Exception):
    """A command line that cannot be meant."""


class InputError(Exception):
    """The input as a whole is no good."""


def complain(console: Console, message: str, code: int) -> int:
    """Say in one line what went wrong; returns the exit code."""
    if message:
        console.print(f"error: {message}", markup=False, soft_wrap=True)
    return code
