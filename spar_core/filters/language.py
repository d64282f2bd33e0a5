"""Which language a text is in, by py3langid: naive Bayes over bytes, its model in its package."""

from __future__ import annotations

import functools
from typing import Any

from spar_core.filters.library import needed

CERTAIN = 0.5
"""Below it no language is named: 5 % of 517 turns in 18 languages, then none of them is wrong."""

_ENOUGH = 2000
"""Characters that are looked at; the time is linear in them."""
_TAKEN_FOR_OTHERS = {"an", "la", "pcm"}
"""Aragonese, Latin and Nigerian Pidgin: short texts on quantum computing are no Latin."""
_NONE = "zxx"
"""What the model says of numbers, markup and code."""


def language(text: str) -> str | None:
    """The ISO 639 code of a text's language.

    Returns:
        None where the text is too short to tell, or mixed, or in no language.

    Raises:
        NoLibrary: py3langid is not installed.
    """
    code, certainty = _identifier().classify(text[:_ENOUGH])
    return None if certainty < CERTAIN or code == _NONE else str(code)


@functools.cache
def _identifier() -> Any:
    library = needed("py3langid.langid", "py3langid", "the filter of languages", "evolve")
    identifier = library.LanguageIdentifier.from_model_file(library.MODEL_FILE, norm_probs=True)
    identifier.set_languages(set(identifier.labels) - _TAKEN_FOR_OTHERS)
    return identifier
