"""Every kind: what it draws is a check, and what it sees in a text is what the checker says."""

from __future__ import annotations

import json
import re
import time
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.checks.counting import count_sentences
from spar_core.checks.strict import follows
from spar_core.constraints import KINDS, go_together
from spar_core.constraints.kind import Kind, said
from spar_core.constraints.marks import CAPITAL_ID, LOWERCASE_ID
from tests.spar_core.constraints.asked import (
    MORE,
    ORDINARY,
    OTHERS,
    SEED,
    arguments_of,
    asked,
    need,
)

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

_PARTS = """
Today today, well Hello, world. That is all. the end. THE END. friend Friends very garden C++
ALL small İ ſ K Σ ß ΟΔΟΣ οδος. Ⓐ ǅ ½ 中文 עברית e\u0301 ŉ ﬁ 😀 1,000 3.5 Dr. Smith e.g. ...
?! _ - -- — • 1.
" \"" “q” ' * ** *** *a* **b** << >> <<a>> <<>> [ ] [name] P.S. p.s. P.P.S P. S. P.S
Section Section1 PART { } ``` ```json {"a":1} [1] "a" : ; a 2
"""
PARTS = [
    *_PARTS.split(),
    *("\n", "\n\n", "\n\n\n", "\n \n", " ", "\t", "\r\n", "\x0b", "\x1c", "\u2028", "\x85"),
    *("\u00a0", "\u200d", "* a", "- a\n* b", "*\n- a", "<< >>", "<< >> <<a>>", "Section 1"),
    *("Section\n2", "PART 2", "P.S. Bye", "Bye P.S. now", "P. S. x", "***\n\n***"),
    *(SEED, "Say “it”,\nplease."),
]
"""What texts are put together from: all that some kind looks for, and what is nearly that."""

TEXTS = st.lists(
    st.tuples(st.sampled_from(PARTS), st.sampled_from(["", " ", "\n", "\n\n"])), max_size=9
).map(lambda parts: "".join(part + glue for part, glue in parts))

CORNERS = ["-", "*", "x", '"', '""', '"x', 'x"', '"x"', ' "x" ', "\n\nToday x", "Today\n\nx",
           "Today", "today's", "'Today", '"Today"', "* a\n* b", "* a\n\n- b", "**a**\n* b",
           "*a* **b**", "* *", "<<a", "<<>>>", "<<a>>>", "<< >>\n<<b>>", "a***b", "a\n***\n***\nb",
           "***\na\n***\nb\n***", "[]", "[a\nb]", "[[a]]", "P.S.", "x p. s. y", "P.P.S.", "p.ſ.",
           "Section 1 Section 2 Section 3", "PART1PART2", "```json\n{}\n```", "```json```{}", "1",
           "null", "{", "1.5.", "very", "Very,", "every", "very-", "friend" * 3, "FRIEND friend",
           "Hi. Hi. Hi. Hi", "That is all.", 'x That is all."', "½ is a half", "中文"]  # fmt: skip


DIVIDING = {
    "detectable_format:number_bullet_lists",
    "detectable_format:multiple_sections",
    "length_constraints:number_paragraphs",
}
"""Kinds that need a text with as many parts."""


def is_english(text: str) -> bool:
    """Whether the checkers of case, which want English, take it for such."""
    langdetect = pytest.importorskip("langdetect")
    try:
        return bool(langdetect.detect(text) == "en")
    except langdetect.LangDetectException:
        return True


def agrees(kind: Kind, arguments: Any, text: str) -> None:
    """What the kind sees is what its checker says."""
    [check] = asked(kind, arguments)
    met = kind.look(json.loads(check["kwargs"]), text).met
    if kind.id in (LOWERCASE_ID, CAPITAL_ID):
        met = met and is_english(text)
    assert follows([check], text) is met, (arguments, text)


@every_kind
def test_an_id_is_the_kinds_own(kind: Kind) -> None:
    assert KINDS[kind.id] is kind
    assert set(kind.excludes) <= set(KINDS)


@every_kind
def test_what_is_drawn_is_a_check(kind: Kind) -> None:
    for seed in (
        SEED,
        "a {b} {0} %s \\1 [[start]] x",
        "\n\n ½ 😀\t\u202e",
    ):
        for i in range(20):
            arguments = kind.draw(Random(i), seed)
            [check] = asked(kind, arguments)
            assert json.loads(check["kwargs"]) == dict(arguments)
            assert kind.draw(Random(i), seed) == arguments


@every_kind
def test_a_constraint_says_what_the_checker_is_given(kind: Kind) -> None:
    for arguments in arguments_of(kind):
        shown = {
            str(each)
            for value in arguments.values()
            for each in (value if isinstance(value, list) else [value])
        }
        if kind.id == "length_constraints:nth_paragraph_first_word":
            shown = {arguments["first_word"]}  # of the one paragraph there is
        for wording in kind.states:
            text = said((wording,), arguments, Random(0))
            assert all(value in text for value in shown), text
            assert not re.search(r"\{\w+\}", text)
        for wording in kind.names:
            assert not re.search(r"\{\w+\}", said((wording,), arguments, Random(0)))


def test_values_are_not_taken_for_wordings() -> None:
    repeat = KINDS["combination:repeat_prompt"]
    hostile = "Say {prompt_to_repeat} and {x} \\g<0> %s."
    assert hostile in said(repeat.states, {"prompt_to_repeat": hostile}, Random(0))


@every_kind
@settings(max_examples=60, derandomize=True, deadline=None)
@given(text=TEXTS, choice=st.integers(0, 9))
def test_it_sees_what_the_checker_sees(kind: Kind, text: str, choice: int) -> None:
    need(kind)
    some = [*arguments_of(kind), *OTHERS.get(kind.id, ())]
    if text.strip():
        agrees(kind, some[choice % len(some)], text)


@every_kind
def test_it_sees_corner_cases_as_the_checker_does(kind: Kind) -> None:
    need(kind)
    for text in (*CORNERS, *ORDINARY):
        for arguments in (*arguments_of(kind, 2), *OTHERS.get(kind.id, ())):
            agrees(kind, arguments, text)


@every_kind
@settings(max_examples=25, derandomize=True, deadline=None)
@given(text=st.text(min_size=1, max_size=40))
def test_it_sees_any_text_as_the_checker_does(kind: Kind, text: str) -> None:
    need(kind)
    if text.strip():
        agrees(kind, arguments_of(kind, 1)[0], text)


@every_kind
def test_of_an_empty_text_it_says_something(kind: Kind) -> None:
    for text in ("", " \n\t", "\u00a0"):
        finding = kind.look(arguments_of(kind, 1)[0], text)
        assert finding.evidence
        assert all(finding.evidence)


@every_kind
def test_mending_an_ordinary_text_meets_it(kind: Kind) -> None:
    need(kind)
    for number, (text, arguments) in enumerate(product(ORDINARY, arguments_of(kind, 6))):
        if kind.look(arguments, text).met:
            continue
        mended = kind.mend(arguments, text, Random(number))
        if mended is None:
            assert kind.id in DIVIDING, arguments
            continue
        assert kind.look(arguments, mended).met, (arguments, mended)
        assert follows(asked(kind, arguments), mended) is True, (arguments, mended)
        assert mended == kind.mend(arguments, text, Random(number))


@every_kind
def test_evidence_is_of_one_line(kind: Kind) -> None:
    for text in (*ORDINARY, *CORNERS):
        for arguments in arguments_of(kind, 2):
            finding = kind.look(arguments, text)
            assert all("\n" not in said for said in finding.evidence), (text, finding)


def test_excluding_is_mutual() -> None:
    kinds = list(KINDS.values())
    for one in kinds:
        assert not go_together(one, one)
        for other in kinds:
            assert go_together(one, other) is go_together(other, one)
            if other.id in one.excludes:
                assert not go_together(one, other)


@every_kind
def test_a_degenerate_text_takes_no_time(kind: Kind) -> None:
    need(kind)
    for text in ("x" * 15_000 + " ,", "\n" * 2_000 + "x", "*" * 2_000, "<<" * 1_000, "[" * 2_000):
        began = time.process_time()
        kind.look(arguments_of(kind, 1)[0], text)
        assert time.process_time() - began < 2, text[:9]


def test_words_and_sentences_are_those_that_the_checkers_count() -> None:
    kind = KINDS["length_constraints:number_sentences"]
    need(kind)
    text = "Dr. Smith left. He went home."
    assert count_sentences(text) == 2
    finding = kind.look({"num_sentences": 3, "relation": "less than"}, text)
    assert finding == (True, ("it has two sentences",))


@pytest.mark.parametrize(
    ("name", "arguments", "text", "mended"),
    [
        ("keywords:forbidden_words", {"forbidden_words": ["very"]}, "Very, very good.", "Good."),
        ("punctuation:no_comma", {}, "a, b, c", "a b c"),
        ("startend:quotation", {}, 'He is here"', '"He is here"'),
        ("startend:end_checker", {"end_phrase": "The end."}, '"It was"', '"It was. The end."'),
        ("change_case:english_lowercase", {}, "½ a Cup of Tea", "½ a cup of tea"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "well"},
            "I am.\n\nYou are.",
            "Well, I am.\nYou are.",
        ),
        (
            "detectable_format:number_bullet_lists",
            {"num_bullets": 2},
            "It costs\n3.5 pounds",
            "* It costs\n* 3.5 pounds",
        ),
        ("detectable_format:title", {}, "It is a clock.", "<<Clock>>\nIt is a clock."),
        (
            "detectable_format:number_highlighted_sections",
            {"num_highlights": 2},
            "They have *one* clock.",
            "They have *one* *clock*.",
        ),
        ("change_case:english_capital", {}, "a Clock", "A CLOCK"),
        ("detectable_format:json_format", {}, "{broken", None),
        (
            "keywords:frequency",
            {"keyword": "a", "frequency": 1, "relation": "less than"},
            "a",
            None,
        ),
        (
            "length_constraints:number_words",
            {"num_words": 4, "relation": "less than"},
            'He said "No." Then he went away.',
            'He said "No."',
        ),
        ("length_constraints:number_words", {"num_words": 90, "relation": "at least"}, "a", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_change_is_small(
    name: str, arguments: dict[str, Any], text: str, mended: str | None
) -> None:
    for number in range(4):
        made = KINDS[name].mend(arguments, text, Random(number))
        assert (made or "").replace("- ", "* ") == (mended or ""), made


def test_what_no_program_can_mend() -> None:
    few = "Yes."
    for name, arguments in (
        ("detectable_format:number_bullet_lists", {"num_bullets": 3}),
        ("detectable_format:multiple_sections", {"section_spliter": "PART", "num_sections": 2}),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}),
        ("detectable_format:number_highlighted_sections", {"num_highlights": 2}),
        ("detectable_content:number_placeholders", {"num_placeholders": 9}),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "x"},
        ),
    ):
        assert KINDS[name].mend(arguments, few, Random(0)) is None
        assert KINDS[name].look(arguments, MORE).met is False
