"""The sandbox: where code that a model wrote runs, and nowhere else (docs/sandbox.md).

Monty (`pydantic-monty`) interprets a subset of Python that has no files, network or processes, in
a worker process with limits of its own and of the kernel (`child`), which processes of this one's
look after (`children`). What cannot be run there is not run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spar_core.sandbox.children import CHILDREN

__all__ = ["Outcome", "Ran", "call", "run"]

Outcome = Literal["passed", "failed", "limit", "unsupported"]
"""It ran to its end; it raised an error; it wanted more time, memory, depth or output than it may
have; or the interpreter cannot run it: syntax, a module or a name that it lacks, its own crash."""

_CODE = 1_000_000
_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program. `message` is one line, and empty for one that passed."""

    outcome: Outcome
    message: str
    value: Any = None
    """What the called function returned, as plain data: None, bool, int, float, str, list, dict."""


def run(code: str, *, seconds: float, memory_mb: int) -> Ran:
    """Run a program to its end.

    Args:
        seconds: at most for this program. memory_mb: at most for what it holds.

    Raises:
        NoLibrary: there is no sandbox here.
    """
    return _ran(code, None, (), seconds, memory_mb)


def call(
    code: str, function: str, arguments: Sequence[object], *, seconds: float, memory_mb: int
) -> Ran:
    """Run a program and then one of the functions that it defines, in the same limits.

    Args:
        function: its name. arguments: plain data.

    Returns:
        With the function's value if it passed. Tuples become lists, and the keys of a dict text.
        A function that is not there or returns no plain data has failed.

    Raises:
        NoLibrary: there is no sandbox here.
        ValueError: the function's name is no name.
        TypeError: an argument is no plain data.
    """
    if not function.isidentifier():
        raise ValueError(f"no name of a function: {function!r}")
    return _ran(code, function, arguments, seconds, memory_mb)


def _ran(
    code: str, function: str | None, arguments: Sequence[object], seconds: float, memory_mb: int
) -> Ran:
    if len(code) > _CODE:
        return Ran("limit", f"it has {len(code)} characters, at most {_CODE} are run")
    request = {
        "code": code,
        "function": function,
        "arguments": list(arguments),
        "seconds": seconds,
        "memory_mb": memory_mb,
    }
    try:
        answer = CHILDREN.ask(json.dumps(request).encode() + b"\n", seconds + _GRACE_S)
        return _read(answer)
    except TimeoutError as error:
        return Ran("limit", f"killed: {error}")
    except ChildProcessError as error:
        return Ran("unsupported", str(error))


def _read(answer: bytes) -> Ran:
    """Raises: ChildProcessError: an answer that none of ours gives."""
    try:
        ran = Ran(**json.loads(answer))
    except (ValueError, TypeError, RecursionError):
        raise ChildProcessError("the sandbox's process answers nonsense") from None
    if ran.outcome not in get_args(Outcome):
        raise ChildProcessError("the sandbox's process answers nonsense")
    return ran
