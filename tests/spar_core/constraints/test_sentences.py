"""Text cut into sentences, and places in it."""

from __future__ import annotations

import pytest

from spar_core.constraints.sentences import around, ended, in_groups, lowered, sentences


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("", []),
        (" One. Two!\nThree? ", ["One.", "Two!", "Three?"]),
        (
            'He said "No." Then (so they say.) he left',
            ['He said "No."', "Then (so they say.)", "he left"],
        ),
        ("3.5 is e.g. a number", ["3.5 is e.g.", "a number"]),
    ],
)
def test_a_text_is_cut_where_sentences_end(text: str, cut: list[str]) -> None:
    assert sentences(text) == cut


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", ""),
        ("a", "a."),
        ("a.", "a."),
        ("a ", "a."),
        ("a:", "a:"),
        ('"a"', '"a"'),
        ("<<a>>", "<<a>>"),
        ("[a]", "[a]"),
        ("*a*", "*a*"),
    ],
)
def test_a_text_is_ended_once(text: str, made: str) -> None:
    assert ended(text) == made == ended(made)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("The end", "the end"),
        ("I am", "I am"),
        ("NASA is", "NASA is"),
        ("A cup", "a cup"),
        ("*A*", "*A*"),
        ("", ""),
    ],
)
def test_a_sentence_goes_on_in_small_letters(text: str, made: str) -> None:
    assert lowered(text) == made


def test_a_place_is_shown_with_its_neighbours() -> None:
    text = "One two three four\nfive six"
    assert around(text, 8, 13) == "One two three four five"
    assert around(text, 0, 3) == "One two three"
    assert around("prefixed", 3, 6) == "prefixed"


def test_parts_are_shared_out_evenly_and_in_order() -> None:
    assert in_groups(list("abcde"), 2) == [["a", "b", "c"], ["d", "e"]]
    assert in_groups(list("abc"), 3) == [["a"], ["b"], ["c"]]
    assert in_groups(list("ab"), 3) is None
