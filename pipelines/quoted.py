"""Arguments for other programs, each program's given as one string."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence

from pipelines.execution.parser import underscored
from terminal.exits import UsageError


def joined(argv: Sequence[str], names: Collection[str]) -> Iterator[str]:
    """`--dpo_args X` as `--dpo_args=X` for options of these names: X may begin with dashes."""
    rest = iter(argv)
    for argument in rest:
        value = next(rest, None) if underscored(argument) in names else None
        yield argument if value is None else f"{argument}={value}"


def split(name: str, value: str) -> list[str]:
    """The arguments in an option's value.

    Raises:
        UsageError: a quotation that does not end.
    """
    try:
        return shlex.split(value)
    except ValueError as error:
        raise UsageError(f"--{name} {value!r}: {error}") from None


def arguments(name: str, value: str, set_here: Collection[str]) -> list[str]:
    """The arguments in an option's value, for a program some of whose options are not the user's.

    Raises:
        UsageError: one of these is among them, or as `split`.
    """
    found = split(name, value)
    for argument in found:
        option = underscored(argument).partition("=")[0]
        if option in set_here:
            raise UsageError(f"--{name} must not hold {option}: it is set by this job")
    return found
