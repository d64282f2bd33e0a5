"""Words and sentences are counted as the checkers count them."""

from __future__ import annotations

import pytest

from spar_core.checks.counting import count_sentences, count_words
from spar_core.checks.library import can_check
from spar_core.checks.strict import follows
from tests.spar_core.checks.asked import AT_LEAST, WORDS, one


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("text", "words"), [("", 0), ("One, two-three.", 3), ("e\u0301a", 1)])
def test_words_are_counted_as_the_checkers_count_them(text: str, words: int) -> None:
    assert count_words(text) == words
    if text:
        assert follows(one(WORDS, num_words=words, **AT_LEAST), text) is True
        assert follows(one(WORDS, num_words=words + 1, **AT_LEAST), text) is False


@pytest.mark.usefixtures("_no_nltk_data")
def test_sentences_are_not_counted_without_nltks_data() -> None:
    assert count_sentences("One. Two.") is None
    assert not can_check("punkt_tab")
    assert can_check("")
