"""A step of a reproduction: a command that a user could call, done once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Command = Callable[[], list[str] | None]
"""Makes a command when it is its turn; None where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a step costs.

    starts: of engines. written: tokens that engines write. trained: tokens that are trained on.
    """

    starts: int = 0
    written: float = 0.0
    trained: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """A command and what is known of it.

    name: unique in a reproduction; its parts are divided by colons. before: what this process does
    first. evaluation: how the page finds what was measured, None where nothing was.
    """

    name: str
    command: Command
    work: Work = field(default_factory=Work)
    before: Callable[[], None] | None = None
    evaluation: dict[str, Any] | None = None


def module(name: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", name, *arguments]
