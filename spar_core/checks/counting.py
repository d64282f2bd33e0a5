"""Words and sentences, as the checkers count them."""

from __future__ import annotations

import importlib
from typing import Any

from spar_core.checks.library import LM_EVAL, checkers, one_at_a_time


def count_words(text: str) -> int:
    """The words of a text, as the checkers count them.

    Raises:
        NoChecker: the library is not installed.
    """
    with one_at_a_time:
        return int(_counting().count_words(text))


def count_sentences(text: str) -> int | None:
    """The sentences of a text, as the checkers count them; None where NLTK's data are missing.

    Raises:
        NoChecker: the library is not installed.
    """
    with one_at_a_time:
        try:
            return int(_counting().count_sentences(text))
        except LookupError:
            return None


def _counting() -> Any:
    """The module of the library that counts."""
    checkers()
    return importlib.import_module(LM_EVAL.registry.replace("_registry", "_util"))
