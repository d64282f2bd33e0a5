"""Checks that could not be run, and why."""

from __future__ import annotations

import functools
import re

from spar_core.checks.arguments import BadChecks
from terminal import log


class Undecided(Exception):
    """A check that could not be run; the message says why."""


def reason(error: Exception) -> str:
    """Why a check did not run; nothing of the response, whose text is a model's."""
    if isinstance(error, BadChecks):
        return str(error)
    if type(error) is LookupError:  # NLTK raises just this where data of its own are missing
        named = re.search(r"nltk\.download\('(\w+)'\)", str(error))
        data = named.group(1) if named else "punkt_tab"
        return f"NLTK's data are missing; python -m nltk.downloader {data}"
    return type(error).__name__


@functools.cache
def warn(name: str, why: str, effect: str = "`checked` is null") -> None:
    """Say once in a process why a check did not run."""
    log.warn(__name__, f"check {name} did not run, {effect}: {why}")
