"""Libraries of checkers: where they are kept, and what they need."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spar_core.engine.protocol import ItemError
from terminal.packages import extra, not_imported

one_at_a_time = threading.Lock()
"""Held by whoever calls into a library: none of them is made for several threads."""


@dataclass(frozen=True, slots=True)
class Library:
    """Where checkers are kept.

    registry: the module that lists them. needs: modules without which they do not run. wanted: what
    needs them. install: what pip is given. remedy: what else helps.
    """

    registry: str
    needs: tuple[str, ...]
    wanted: str
    install: str
    remedy: str


LM_EVAL = Library(
    "lm_eval.tasks.ifeval.instructions_registry",
    ("nltk", "langdetect"),
    "the column `checks`",
    extra("checks"),
    "or leave the column out",
)


class NoChecker(ItemError):
    """The library of checkers is not installed."""

    cause = "no_checker"


@functools.cache
def checkers(library: Library = LM_EVAL) -> dict[str, Any]:
    """The checkers by name.

    Raises:
        NoChecker: they are not installed.
    """
    try:
        needed = {name: importlib.import_module(name) for name in library.needs}
        # As it is imported the library prints, which a job does not.
        with offline(), contextlib.redirect_stdout(io.StringIO()):
            registry = importlib.import_module(library.registry)
    except ImportError as error:
        said = not_imported(library.wanted, error, library.install)
        raise NoChecker(f"{said}, {library.remedy}") from None
    if "langdetect" in needed:
        needed["langdetect"].DetectorFactory.seed = 0
    # It logs whole responses, whose text is a model's.
    logging.getLogger(library.registry.replace("_registry", "")).disabled = True
    return dict(registry.INSTRUCTION_DICT)


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keeps the libraries from having NLTK ask the network for data."""
    nltk: Any = importlib.import_module("nltk")
    download = nltk.download
    nltk.download = lambda *_, **__: False
    try:
        yield
    finally:
        nltk.download = download


def can_check(data: str) -> bool:
    """Whether checkers that need these data of NLTK, "" for none, run here.

    Raises:
        NoChecker: the library is not installed.
    """
    checkers()
    if not data:
        return True
    try:
        importlib.import_module("nltk").data.find(f"tokenizers/{data}")
    except LookupError:
        return False
    return True
