"""Two texts as one with marks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspection.report.marks import MAX_TOKENS, marked

TEXTS = st.text("ab c.\n\u0301é你好สวัสดี😀\u200d\u202e\r\0", max_size=40)


def sides(marks: list[str]) -> tuple[str, str]:
    before = "".join(text for number, text in enumerate(marks) if number % 3 != 2)
    after = "".join(text for number, text in enumerate(marks) if number % 3 != 1)
    return before, after


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_from_the_marks(before: str, after: str) -> None:
    marks = marked(before, after)
    assert len(marks) % 3 == 0
    assert sides(marks) == (before, after)


@given(TEXTS)
def test_equal_texts_have_no_marks(text: str) -> None:
    assert marked(text, text) == [text, "", ""]


@pytest.mark.parametrize(
    ("before", "after", "marks"),
    [
        ("the cat sat", "the dog sat", ["the ", "cat", "dog", " sat", "", ""]),
        ("a b c d", "a x y d", ["a ", "b c", "x y", " d", "", ""]),
        ("one", "one more", ["one", "", " more"]),
        ("我喜欢猫", "我喜欢狗", ["我喜欢", "猫", "狗"]),
        ("e\u0301t e", "e\u0301t a", ["e\u0301t ", "e", "a"]),
        ("👩‍🚀 up", "👩‍🔧 up", ["", "👩‍🚀", "👩‍🔧", " up", "", ""]),
    ],
)
def test_whole_words_are_marked(before: str, after: str, marks: list[str]) -> None:
    assert marked(before, after) == marks


@pytest.mark.parametrize(
    ("unit", "other"), [("x", "y"), ("a ", "b "), ("a\n", "b\n"), (". ", ", ")]
)
def test_huge_texts_are_bounded(unit: str, other: str) -> None:
    size = 1_200_000 // len(unit)
    before, after = unit * size, other * size
    start = time.process_time()
    marks = marked(before, after)
    assert time.process_time() - start < 20
    assert sides(marks) == (before, after)


def test_long_texts_are_compared_by_lines() -> None:
    line = "word " * 100 + "\n"
    before = line * (MAX_TOKENS // 100)
    assert marked(before, f"new\n{before}") == ["", "", "new\n", before, "", ""]
