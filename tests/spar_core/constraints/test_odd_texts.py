"""Odd texts: apostrophes, accents, punctuation alone, other scripts, line breaks, nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spar_core.constraints import KINDS, edges, layout, length, words
from spar_core.constraints.kind import Kind
from spar_core.constraints.sentences import WORD
from tests.spar_core.constraints.asked import OTHERS, arguments_of, need

NO_COMMA, QUOTATION, FORBIDDEN, TITLE, OPENING = (
    KINDS[name]
    for name in (
        "punctuation:no_comma",
        "startend:quotation",
        "keywords:forbidden_words",
        "detectable_format:title",
        "length_constraints:nth_paragraph_first_word",
    )
)
FIRST: Mapping[str, Any] = {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "today"}

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

_ODD = """
Don't Here's don’t O'Brien's it's I'm people's TIME'S very-good full-time 'tis cafe\u0301
nai\u0308ve Straße naïve a,b 1,000 x,y,z Well,well , ,, ' " '' ... ?! — - ( ) 中文 עברית 😀
word friend Garden
"""
ODD = st.lists(
    st.tuples(
        st.sampled_from(_ODD.split()),
        st.sampled_from([" ", "\n", "\n\n", ", ", ". "]),
    ),
    max_size=9,
).map(lambda parts: "".join(word + glue for word, glue in parts))

_SAID = (*words._ADDED, *layout._FILLED, *layout._KEYS, *length._MORE, *edges._POSTSCRIPTS)
ADDED = {
    word.casefold() for text in (*_SAID, "Answer P.S. P.P.S 1 2 3") for word in WORD.findall(text)
}
"""Words that repairs add whatever is asked for."""


def arguments(kind: Kind) -> list[Mapping[str, Any]]:
    return [*arguments_of(kind), *OTHERS.get(kind.id, ())]


def in_text(text: str) -> set[str]:
    return {word.casefold() for word in WORD.findall(text)}


def is_whole(part: str, text: str) -> bool:
    """Whether it stands somewhere in a text, white space apart, where no word is cut by it."""
    found = re.escape(part).replace(r"\ ", r"\s+")
    edge = "\u0300-\u036f"
    pattern = rf"(?<!\w['’])(?<![\w{edge}]){found}(?![\w{edge}]|['’]\w)"
    bare = part.strip("'’").strip()
    return not WORD.search(bare) or re.search(pattern, text, re.IGNORECASE) is not None


@every_kind
@settings(max_examples=80, derandomize=True, deadline=None)
@given(text=ODD, choice=st.integers(0, 9))
@example(text="", choice=0)
@example(text='"', choice=0)
@example(text=",", choice=0)
@example(text="Don't stop.", choice=0)
@example(text="Here's some of it, and here's more.", choice=0)
def test_evidence_quotes_whole_words_and_none_that_is_empty(
    kind: Kind, text: str, choice: int
) -> None:
    need(kind)
    some = arguments(kind)
    asked = some[choice % len(some)]
    given = {word for word in asked.values() if isinstance(word, str)}
    given |= {word for value in asked.values() if isinstance(value, list) for word in value}
    for said in kind.look(asked, text).evidence:
        assert said == said.strip()
        assert "  " not in said, said
        assert '""' not in said.replace('""', "", text.count('"')), said
        assert not re.search(r"\b1 \w+s\b|\b0 ", said), said
        for part in re.findall(r'(?<!\w)"([^"]+)"(?!\w)', said):
            if part.strip() not in {word.strip() for word in given} and kind is not QUOTATION:
                assert is_whole(part, text), (said, text)


@every_kind
@settings(max_examples=80, derandomize=True, deadline=None)
@given(text=ODD, choice=st.integers(0, 9))
@example(text="a,b", choice=0)
@example(text="Here's people's time-out, very-good.", choice=0)
@example(text="It's 'more' cafe\u0301s than shouldn't.", choice=0)
def test_a_repair_neither_joins_nor_cuts_words(kind: Kind, text: str, choice: int) -> None:
    need(kind)
    some = arguments(kind)
    asked = some[choice % len(some)]
    if kind.look(asked, text).met:
        return
    mended = kind.mend(asked, text, Random(choice))
    if mended is None:
        return
    if kind is KINDS["detectable_format:json_format"]:
        mended = " ".join([*json.loads(mended), *json.loads(mended).values()])
    new = in_text(mended) - in_text(text) - in_text(" ".join(map(str, asked.values()))) - ADDED
    digits = {word for word in new if word.isdigit() and kind is NO_COMMA}
    assert new == digits, (text, mended)
    assert digits <= {"1000"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Don't stop.", "Don't"),
        ('"Don’t," he said.', "Don’t"),
        ("Here's how.", "Here's"),
        ("'Stop!' he said.", "Stop"),
        ("3.5 of them.", "3.5"),
    ],
)
def test_the_first_word_is_a_whole_one(text: str, word: str) -> None:
    assert OPENING.look(FIRST, text) == (
        False,
        (f'the first word is "{word}"', f'it begins with "{word}"'),
    )


def test_the_first_word_that_is_asked_for_may_have_an_apostrophe_behind_it() -> None:
    """The checker reads no further than that."""
    found = OPENING.look({**FIRST, "first_word": "here"}, "Here's how.")
    assert found == (True, ('the first word is "Here"', 'it begins with "Here"'))


@pytest.mark.parametrize("text", ["...", '" x', "?! No."])
def test_where_no_word_stands_first_none_is_quoted(text: str) -> None:
    assert OPENING.look(FIRST, text).evidence == ("it begins with no word", "no word stands first")


@pytest.mark.parametrize("text", [", and so on", " ,", "\n,,x"])
def test_a_comma_at_the_beginning_is_after_nothing(text: str) -> None:
    assert NO_COMMA.look({}, text).evidence == (
        "it begins with a comma",
        "there is a comma at the beginning",
    )


@pytest.mark.parametrize(
    ("text", "word"), [("so , it is", "so"), ('the "end", then', "end"), ("a\n, b", "a")]
)
def test_a_comma_is_after_the_word_before_it(text: str, word: str) -> None:
    assert NO_COMMA.look({}, text).evidence[0] == f'there is a comma after "{word}"'


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("a,b", "a b"),
        ("a,,b ,c", "a b c"),
        ("1,000,000 in 1,2 and 1,2345", "1000000 in 1 2 and 1 2345"),
        ('"Yes," he said,"no".', '"Yes" he said "no".'),
        ("a,\nb,", "a\nb"),
        ("*a*,*b*", "*a* *b*"),
        ("中,文", "中 文"),
    ],
)
def test_without_commas_words_stay_apart(text: str, mended: str) -> None:
    assert NO_COMMA.mend({}, text, Random(0)) == mended


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Here's some tea.", "Here's Some"),
        ("It's the people's tea.", "People's Tea"),
        ("the cafe\u0301 opens", "Cafe\u0301 Opens"),
        ("DON’T go", "Don’t Go"),
        ("...", "Answer"),
        ("'tis 'odd'", "Tis Odd"),
    ],
)
def test_a_title_is_of_whole_words(text: str, title: str) -> None:
    assert TITLE.mend({}, text, Random(0)) == f"<<{title}>>\n{text}"


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("Here is people's tea.", "Here is tea."),
        ("A people-first plan.", "A first plan."),
        ("It is for-people work.", "It is for work."),
        ("A for-people-only one.", "A for-only one."),
        ("many people’s, too", "Many, too"),
    ],
)
def test_a_word_is_left_out_with_what_belongs_to_it(text: str, mended: str) -> None:
    asked = {"forbidden_words": ["people"]}
    assert FORBIDDEN.mend(asked, text, Random(0)) == mended


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("Shouldn't it rest?", "Shouldn't it *rest*?"),
        ("Clock's hands. Clock.", "Clock's *hands*. Clock."),
        ("The caffe\u0301s rest.", "The caffe\u0301s *rest*."),
    ],
)
def test_a_highlight_is_of_whole_words(text: str, mended: str) -> None:
    kind = KINDS["detectable_format:number_highlighted_sections"]
    assert kind.mend({"num_highlights": 1}, text, Random(0)) == mended


@pytest.mark.parametrize("name", ["change_case:english_lowercase", "change_case:english_capital"])
def test_a_letter_in_the_wrong_case_is_shown_in_its_whole_word(name: str) -> None:
    text = "Don't" if name.endswith("lowercase") else "DON't"
    [shown] = {re.findall('"(.*)"', said)[0] for said in KINDS[name].look({}, text).evidence}
    assert shown == text
