"""The confined process of the sandbox: it runs programs with Monty, one after another.

Run as a script, with nothing of the project in it: writes a line when it is ready, then reads a
request a line (the arguments of `ran`, in JSON) and writes what came of it (the fields of `Ran`).
Monty runs a program in a worker process of its own, which is replaced when it dies.
"""

from __future__ import annotations

import builtins
import json
import os
import re
import resource
import secrets
import select
import signal
import string
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_monty import (
    CollectString,
    ExternalModule,
    Monty,
    MontyCrashedError,
    MontyError,
    MontySession,
    ResourceLimits,
)

GRACE_S = 0.5
"""How long after its time a worker may live that does not see it."""
PRINTED = 1 << 20
"""Bytes that a program may print; nobody reads them."""
RETURNED = 1 << 16
"""Characters of a value, in JSON."""
_MESSAGE = 200
_MEGABYTE = 1 << 20
_WORKER_MB = 256
"""Address space of a worker that holds nothing."""
_WORKER_FILES = 3
_OWN_MB = 2048
_LEAVE_S = 1.0
_RUNS_PER_WORKER = 1000
_CONSTANTS = {name: getattr(string, name) for name in string.__all__ if name.islower()}
_MODULES = {
    "string": ExternalModule({k: v for k, v in _CONSTANTS.items() if isinstance(v, str)}),
    "__future__": ExternalModule({"annotations": True}),
}
"""What Monty lacks and plain data can stand for."""

_LIMIT = re.compile(
    r"MemoryError: (memory limit|the worker exceeded its memory limit)"
    r"|TimeoutError: \w+ (time )?limit exceeded"
    r"|RecursionError: maximum recursion depth exceeded"
    r"|re\.PatternError: .*(Max limit|Max stack size|too deeply nested|error building NFA)"
    r"|RuntimeError: suspension limit \d+ exceeded"
    r"|Source is too deeply nested"
)
_LACKING = re.compile(
    r"(ModuleNotFound|Import)Error: "
    r"|NotImplementedError: (The monty syntax parser|Wildcard imports)"
    r"|\w+: .*(not yet support|not supported (in this environment|by Monty))"
    r"|AttributeError: module '\w+' has no attribute"
    r"|PermissionError: Permission denied: "
    r"|RuntimeError: Internal error in monty"
    r"|TypeError: ('typing\._SpecialForm' object|cannot create 'object' instances)"
    r"|UnicodeEncodeError: .* surrogates not allowed"
)
_EXIT = re.compile(
    r"NameError: name '(exit|quit)' is not defined"
    r"|AttributeError: module 'sys' has no attribute 'exit'"
    r"|AttributeError: module 'os' has no attribute '(_exit|abort)'"
    r"|BaseException: SystemExit$"
)
"""What Monty says where a program ends itself: it lacks the functions that do so."""

_EXITS = "def SystemExit(*_): raise BaseException('SystemExit')"
"""Put before a program: Monty breaks where its own is called with anything but a text."""

_NO_CALL = re.compile(r"\bSystemExit\b(?!\s*\()")
_UNKNOWN = re.compile(
    r"NameError: name '(?P<name>\w+)' is not defined"
    r"|AttributeError: (type object )?'(?P<type>\w+)' (object )?"
    r"has no attribute '(?P<attribute>\w+)'"
)


class _Undone(Exception):
    """A program that Monty ran without an error is not done: its outcome, and a message."""


def ran(
    monty: Monty,
    *,
    code: str,
    function: str | None,
    arguments: list[Any],
    seconds: float,
    memory_mb: int,
) -> dict[str, Any]:
    """Run a program, and call one of its functions if one is named: the fields of `Ran`.

    Nothing that a program does by itself is taken for its end: the last line is ours, with a mark
    in it that no program can know. (The name of the arguments can be seen in `locals()`.)
    """
    mark, name = secrets.token_hex(8), f"_{secrets.token_hex(8)}"
    last = f"('{mark}', {f'{function}(*{name})' if function else None})"
    limits = ResourceLimits(max_feed_duration_secs=seconds, max_memory=memory_mb * _MEGABYTE)
    try:
        with monty.checkout(
            limits=limits,
            os_policy={"sleep": "zero", "random_start": {"seed": 0}},
            external_modules=_MODULES,
        ) as session:
            _confine_worker(session, seconds, memory_mb)
            # A program that also catches it, or names it, needs the real one.
            program = f"{_EXITS}\n{code}" if _is_only_raised(code) else code
            end = session.feed_run(
                f"{program}\n{last}",
                inputs={name: arguments},
                print_callback=CollectString(PRINTED),
            )
        if not (isinstance(end, tuple) and end[:1] == (mark,)):
            raise _Undone("failed", "it returned before its last line")
        return {"outcome": "passed", "message": "", "value": _plain(end[1])}
    except MontyCrashedError as error:
        outcome, message = "limit" if error.timed_out else "unsupported", str(error)
    except MontyError as error:
        outcome, message = classified(str(error))
    except _Undone as error:
        outcome, message = error.args
    return {"outcome": outcome, "message": _one_line(message)}


def _is_only_raised(code: str) -> bool:
    """Whether a program calls `SystemExit` and uses it in no other way."""
    return "SystemExit" in code and not _NO_CALL.search(code)


def classified(error: str) -> tuple[str, str]:
    """Outcome and message of a program that ended with an error, as Monty words it."""
    if limit := _LIMIT.match(error):
        return "limit", limit[0]
    if _EXIT.match(error):
        return "failed", "SystemExit"
    unknown = _UNKNOWN.match(error)
    lacking = _LACKING.match(error) or (unknown and _is_python(**unknown.groupdict()))
    return "unsupported" if lacking else "failed", error


def _is_python(name: str | None, type: str | None, attribute: str | None) -> bool:  # noqa: A002
    """Whether Python has a name, or an attribute of a built-in type, that Monty does not know."""
    if name:
        return hasattr(builtins, name)
    return hasattr(getattr(builtins, str(type), None), str(attribute))


def _one_line(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text[: 2 * _MESSAGE])
    return " ".join(printable.split())[:_MESSAGE]


def _plain(value: object) -> object:
    """A value, if it is plain data and not too large.

    Raises:
        _Undone: it is not.
    """
    size = 0
    try:
        for part in json.JSONEncoder().iterencode(value):
            size += len(part)
            if size > RETURNED:
                raise _Undone("limit", f"it returned more than {RETURNED} characters")
    except TypeError as error:
        raise _Undone("failed", f"it returned no plain data: {error}") from None
    except (ValueError, RecursionError) as error:
        raise _Undone("limit", f"it returned too large a value: {error}") from None
    return value


def _confine_worker(session: MontySession, seconds: float, memory_mb: int) -> None:
    """Limits of the kernel, for what the interpreter's own would not see.

    A worker can open nothing beside its three pipes, so it has no file and no connection.
    """
    pid = session.worker_pid
    if not pid:
        raise RuntimeError("a session without a worker")
    if sys.platform != "linux":
        return
    for limit, value in (
        (resource.RLIMIT_NOFILE, _WORKER_FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, limit, (value, value))
    # Those below differ from run to run, so they must be allowed to go up again.
    space = (_WORKER_MB + 2 * memory_mb) * _MEGABYTE
    resource.prlimit(pid, resource.RLIMIT_AS, (space, resource.RLIM_INFINITY))
    cpu = int(_cpu_seconds(pid) + seconds + GRACE_S) + 2
    resource.prlimit(pid, resource.RLIMIT_CPU, (cpu, resource.RLIM_INFINITY))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_OWN_MB * _MEGABYTE, resource.RLIM_INFINITY))


def _end_with_caller() -> None:
    """A caller that was killed leaves no program behind. (One that ends closes the pipe first.)"""
    caller = select.poll()
    caller.register(sys.stdin, 0)
    caller.poll()
    time.sleep(_LEAVE_S)
    os.killpg(0, signal.SIGKILL)


def _serve(answer: Callable[[Any], dict[str, Any]]) -> None:
    """Answer requests, a line each, until the one who asks is gone."""
    sys.stdout.write("\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def main() -> int:
    _confine()
    threading.Thread(target=_end_with_caller, daemon=True).start()
    with Monty(
        max_processes=1,
        max_checkouts_per_worker=_RUNS_PER_WORKER,
        feed_duration_limit_grace=GRACE_S,
    ) as monty:
        _serve(lambda request: ran(monty, **request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
