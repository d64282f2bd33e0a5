"""Commands as pages of documentation show them, and their jobs run in this process."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROGRAMS = ("make", "pip", "python", "source", "vllm")
_INLINE = re.compile(r"`(python -m [^`]+)`")


def blocks(page: Path) -> list[list[list[str]]]:
    """Return the commands of each code block that holds commands, as a shell parts them."""
    found = []
    for language, text in _BLOCK.findall(page.read_text()):
        lines = [] if language else text.replace("\\\n", " ").splitlines()
        parted = [shlex.split(line, comments=True) for line in lines]
        commands = [words for words in parted if words]
        if commands and commands[0][0] in _PROGRAMS:
            found.append(commands)
    return found


def inline(page: Path) -> list[list[str]]:
    """Return the commands of jobs that stand in the text of a page."""
    return [shlex.split(" ".join(text.split())) for text in _INLINE.findall(page.read_text())]


def module_of(words: Sequence[str]) -> str:
    """Return the module that `python -m` runs."""
    assert list(words[:2]) == ["python", "-m"], words
    is_package = importlib.util.find_spec(f"{words[2]}.__main__") if _is_package(words[2]) else None
    return f"{words[2]}.__main__" if is_package else words[2]


def run(words: Sequence[str]) -> int:
    """Run a `python -m ...` command in this process; returns its exit code."""
    code: int = importlib.import_module(module_of(words)).main(list(words[3:]))
    return code


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return bool(spec and spec.submodule_search_locations)
