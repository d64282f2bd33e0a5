"""Why a server did not start, read from its log: memory that ran out, or the line of the error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_LONGEST = 400
"""Characters of a server's line that a message repeats."""

_READ_BYTES = 1 << 22
"""So much of the end of a log is read."""

_KILLED = ("-9", "137")
"""Exit codes of a process that was ended by SIGKILL."""


class _Cause(NamedTuple):
    """A kind of lines that tell why memory did not suffice, and what to do about it."""

    pattern: re.Pattern[str]
    remedy: str


_LESS = "use a smaller or quantized model, a shorter context or fewer --slots"
_CAUSES = (
    _Cause(
        re.compile(r"less than desired (?:GPU|CPU) memory utilization", re.IGNORECASE),
        "end the other processes that hold its memory, or let vLLM take a smaller share of it "
        "(--gpu-memory-utilization)",
    ),
    _Cause(
        re.compile(
            r"larger than the available KV cache|No available memory for the cache blocks"
            r"|Not enough memory",
            re.IGNORECASE,
        ),
        "give a shorter context (vLLM: --max-model-len N) or fewer --slots, or more of the memory "
        "(vLLM: --gpu-memory-utilization, SGLang: --mem-fraction-static)",
    ),
    _Cause(
        re.compile(r"failed to allocate buffer for kv cache", re.IGNORECASE),
        "give fewer --slots, each of which has a context in memory, or use a smaller model",
    ),
    _Cause(
        re.compile(
            r"out of memory|OutOfMemory|unable to allocate \S+ buffer|std::bad_alloc|MemoryError"
            r"|failed to allocate (?:\S+ )?(?:buffer|compute|memory|\d)|cannot allocate memory"
            r"|DefaultCPUAllocator: can't allocate",
            re.IGNORECASE,
        ),
        f"{_LESS}, or more GPUs (vLLM: --tensor-parallel-size N)",
    ),
)

_NAMES_ERROR = re.compile(r"Error|error:")
_POINTS_ELSEWHERE = re.compile(r"root cause|Engine core initialization failed")
"""Lines of vLLM that only say that the error stands further up."""


def why_not_up(name: str, code: str, log: Path, start: int) -> str:
    """Return why a server did not come up, and what to do where memory did not suffice.

    Args:
        name: as messages say it. code: its exit code. log: the file with its output.
        start: the bytes of the log before its output, which are of others.
    """
    lines = _lines(log, start)
    if shortage := out_of_memory(lines):
        return f"{name} did not start, {shortage}"
    if code in _KILLED:
        said = "it was killed (SIGKILL), as the system does to a process when memory runs out"
        return f"{name} did not start: {said}\n{_remedy(_LESS)}"
    said = f"{name} did not start (exit code {code}): {_error_line(lines)}"
    if code == "0":
        said += "\nIts command ended: it has to run as long as the server does, in the foreground"
    return said


def out_of_memory(lines: Iterable[str]) -> str:
    """Return that memory ran out, and what to do about it, where lines of a server say so.

    Returns:
        Two lines: "out of memory: " with the line of the server, and the remedy; "" where no line
        says so.
    """
    lines = [*lines]
    for cause in _CAUSES:
        if found := next((line for line in lines if cause.pattern.search(line)), None):
            return f"out of memory: {_brief(found)}\n{_remedy(cause.remedy)}"
    return ""


def _error_line(lines: list[str]) -> str:
    """The line that names the error, as far as one can tell."""
    named = [line for line in lines if _NAMES_ERROR.search(line)]
    causes = [line for line in named if not _POINTS_ELSEWHERE.search(line)]
    return _brief((causes or named or lines or ["no output"])[-1])


def _remedy(remedy: str) -> str:
    return f"{remedy[0].upper()}{remedy[1:]}"


def _lines(log: Path, start: int) -> list[str]:
    with contextlib.suppress(OSError), log.open("rb") as opened:
        end = opened.seek(0, 2)
        opened.seek(max(start, end - _READ_BYTES))
        text = opened.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]
    return []


def _brief(line: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in line)
    text = " ".join(printable.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
