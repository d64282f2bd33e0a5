"""What these tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spar_core.checks.library import checkers
from spar_core.checks.undecided import warn


@pytest.fixture(autouse=True)
def _warn_anew() -> Iterator[None]:
    warn.cache_clear()
    yield
    checkers.cache_clear()


@pytest.fixture
def library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


@pytest.fixture
def _no_nltk_data(library: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk  # type: ignore[import-not-found, unused-ignore]
    from lm_eval.tasks.ifeval import instructions_util  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(nltk.data, "path", [])
    instructions_util._get_sentence_tokenizer.cache_clear()
