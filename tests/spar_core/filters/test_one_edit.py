"""Texts in others, a word more or less."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.filters.one_edit import OneEdit

seeded = settings(derandomize=True, deadline=None)
said = st.lists(st.sampled_from("abcdefgh"), max_size=12).map(tuple)
known = st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=25).map(tuple)


def knowing(*texts: str) -> OneEdit:
    index = OneEdit()
    for number, text in enumerate(texts):
        index.add(number, tuple(text))
    return index


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abcde", (0, 0)),
        ("xxabcdexx", (0, 0)),
        ("abxde", (0, 1)),
        ("xbcde", (0, 1)),
        ("abcdx", (0, 1)),
        ("abde", (0, 1)),
        ("bcde", (0, 1)),
        ("abcd", (0, 1)),
        ("abcxde", (0, 1)),
        ("abxcde", (0, 1)),
        ("axxde", None),
        ("ace", None),
        ("edcba", None),
        ("", None),
    ],
)
def test_one_edit_is_found_and_two_are_not(text: str, expected: tuple[int, int] | None) -> None:
    assert knowing("abcde").found(tuple(text)) == expected


def test_an_exact_text_is_found_before_a_changed_one() -> None:
    assert knowing("abcdef", "abcxef").found(tuple("--abcxef--")) == (1, 0)


@seeded
@given(known, said, said, st.data())
def test_any_one_edit_is_found_anywhere(
    text: tuple[str, ...], before: tuple[str, ...], after: tuple[str, ...], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(text) - 1))
    how = data.draw(st.sampled_from(["same", "changed", "left out", "put in"]))
    middle = {"same": text[place : place + 1], "changed": ("*",), "left out": ()}
    new = middle.get(how, ("*", text[place]))
    index = OneEdit()
    index.add(3, text)
    found = index.found((*before, *text[:place], *new, *text[place + 1 :], *after))
    assert found is not None and found[0] == 3
    if how == "same":
        assert found[1] == 0
