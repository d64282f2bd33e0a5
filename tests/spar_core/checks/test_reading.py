"""Checks: how rows may write them, and what is refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.reading import read_checks
from tests.spar_core.checks.asked import AT_LEAST, NO_COMMA, WORDS


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "row",
    [
        {"checks": [{"id": WORDS, "kwargs": {"num_words": 3, **AT_LEAST}}]},
        {
            "checks": [
                {"instruction_id": WORDS, "kwargs": json.dumps({"num_words": 3.0, **AT_LEAST})}
            ]
        },
        {
            "checks": json.dumps(
                [{"id": WORDS, "kwargs": {"num_words": 3, **AT_LEAST, "letter": None}}]
            )
        },
        {"instruction_id_list": [WORDS], "kwargs": [{"num_words": 3, **AT_LEAST, "letter": None}]},
        {
            "instruction_id_list": json.dumps([WORDS]),
            "kwargs": json.dumps([{"num_words": 3, **AT_LEAST}]),
            "checks": "",
        },
        {"instruction_id_list": [WORDS], "kwargs": [[("num_words", 3), ("relation", "at least")]]},
    ],
)
def test_every_way_to_write_a_check_is_the_same_check(row: dict[str, Any]) -> None:
    wanted = Check(WORDS, '{"num_words": 3, "relation": "at least"}')
    assert read_checks(row) == [wanted]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("not json", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "not a list"),
        ("7", "not a list"),
        ({"id": "x"}, "not a list"),
        ([7], "not 7"),
        ([None], "an object of"),
        ([{}], "no checker null"),
        ([{**NO_COMMA, "more": 1}], "an object of"),
        ([{"id": "punctuation:nocomma"}], "did you mean punctuation:no_comma?"),
        ([{"id": "\ud800"}], "no checker"),
        ([{"id": ["x"]}], "no checker"),
        ([{**NO_COMMA, "kwargs": "x"}], "no JSON"),
        ([{**NO_COMMA, "kwargs": [1]}], "not an object"),
        ([{**NO_COMMA, "kwargs": {"x": 1}}], "its arguments are none, not x"),
        ([{"id": WORDS}], "its arguments are num_words, relation, not none"),
        ([{"id": WORDS, "kwargs": {"num_words": 3}}], "not num_words"),
        ([{"id": WORDS, "kwargs": {"num_words": -1, **AT_LEAST}}], "not a whole number"),
        ([{"id": WORDS, "kwargs": {"num_words": "3", **AT_LEAST}}], "not a whole number"),
        ([{"id": WORDS, "kwargs": {"num_words": True, **AT_LEAST}}], "not a whole number"),
        ([{"id": WORDS, "kwargs": {"num_words": 2.5, **AT_LEAST}}], "not a whole number"),
        ([{"id": WORDS, "kwargs": {"num_words": float("nan"), **AT_LEAST}}], "not a whole number"),
        ([{"id": WORDS, "kwargs": {"num_words": float("inf"), **AT_LEAST}}], "not a whole number"),
        ([{"id": WORDS, "kwargs": {"num_words": 3, "relation": "about"}}], "about"),
        ([{"id": "keywords:existence", "kwargs": {"keywords": "fox"}}], "not a list of texts"),
        ([{"id": "keywords:existence", "kwargs": {"keywords": []}}], "not a list of texts"),
        ([{"id": "keywords:existence", "kwargs": {"keywords": ["a", 1]}}], "not a list of texts"),
        ([{"id": "keywords:existence", "kwargs": {"keywords": ["\ud800"]}}], "not a list of texts"),
        ([{"id": "startend:end_checker", "kwargs": {"end_phrase": " "}}], "not text"),
        ([{"id": "language:response_language", "kwargs": {"language": "xx"}}], "xx"),
        (
            [
                {
                    "id": "keywords:letter_frequency",
                    "kwargs": {"letter": "#", "let_frequency": 3, "let_relation": "at least"},
                }
            ],
            'no such letter: "#"',
        ),
        (
            [
                {
                    "id": "length_constraints:nth_paragraph_first_word",
                    "kwargs": {"num_paragraphs": 1, "nth_paragraph": 2, "first_word": "a"},
                }
            ],
            "nth_paragraph is more",
        ),
        (
            [
                {
                    "id": "length_constraints:nth_paragraph_first_word",
                    "kwargs": {"num_paragraphs": 1, "nth_paragraph": 0, "first_word": "a"},
                }
            ],
            "no such nth_paragraph",
        ),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_checks_that_cannot_be_meant_are_refused(value: Any, said: str) -> None:
    for _ in range(8):  # the checkers draw at random what is out of range
        with pytest.raises(BadChecks) as raised:
            read_checks({"checks": value})
        assert said in str(raised.value)
        assert len(str(raised.value)) < 500


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"checks": [NO_COMMA], "instruction_id_list": ["x"], "kwargs": [{}]}, "both"),
        ({"instruction_id_list": ["x"]}, "two lists"),
        ({"instruction_id_list": "x"}, "no JSON"),
        ({"instruction_id_list": ["x"], "kwargs": []}, "1 names"),
        ({"instruction_id_list": {"a": 1}, "kwargs": []}, "two lists"),
    ],
)
def test_two_columns_that_do_not_fit_are_refused(row: dict[str, Any], said: str) -> None:
    with pytest.raises(BadChecks, match=said):
        read_checks(row)


@pytest.mark.usefixtures("library")
@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "kwargs", "num_words", "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_value_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(BadChecks):
        assert read_checks({"checks": value}) is None
