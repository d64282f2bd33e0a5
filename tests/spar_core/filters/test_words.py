"""Words in any script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.filters.words import sentences, spaced, split, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't  write,\n“a POEM”, please…!", ["dont", "write", "a", "poem", "please"]),
        ("step-by-step: C++ & 2 €", ["stepbystep", "c++", "2", "€"]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        ("谁是李白？", ["谁", "是", "李", "白"]),
        ("ＦＵＬＬ width 🙂", ["full", "width", "🙂"]),
        ("\ud800 ... -", []),
    ],
)
def test_words_are_small_and_without_punctuation(text: str, expected: list[str]) -> None:
    assert split(text) == expected
    assert words(text) == len(expected)


def test_a_script_without_spaces_is_cut_into_letters_or_left_whole() -> None:
    assert split("say 天气 twice") == ["say", "天", "气", "twice"]
    assert spaced("say 天气 twice") == ["say", "天气", "twice"]


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_words_of_words_are_the_same(text: str) -> None:
    again = " ".join(split(text))
    assert split(again) == split(" ".join(split(again)))
    assert split(text) == split(f" {text}\n")


def test_sentences_end_at_marks_and_lines() -> None:
    text = 'Say "hi." Then go!\n\nNow? 你好。再见。'
    assert [part.strip() for part in sentences(text)] == [
        *('Say "hi.', "Then go!", "Now?", "你好。", "再见。"),
    ]
