"""Whether responses follow their prompts: what passes, what does not, what cannot be said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.checks.arguments import BadChecks
from spar_core.checks.library import checkers
from spar_core.checks.reading import read_checks
from spar_core.checks.strict import LONGEST, check, follows
from tests.spar_core.checks.asked import AT_LEAST, WORDS, one

IFEVAL = Path(__file__).parents[4] / "shared/bench/ifeval/input_data.jsonl"


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "kwargs", "good", "bad"),
    [
        (WORDS, {"num_words": 3, **AT_LEAST}, "a b c", "a b"),
        (WORDS, {"num_words": 3, "relation": "less than"}, "a", "a b c"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Well"},
            "a\n\nwell, b",
            "well\n\nb",
        ),
        ("change_case:english_lowercase", {}, "all of this is in small letters", "This is not"),
        ("change_case:english_capital", {}, "ALL OF THIS IS IN CAPITALS", "THIS is not"),
        ("keywords:existence", {"keywords": ["fox", "hen"]}, "A Hen, a FOX", "a fox"),
        ("keywords:forbidden_words", {"forbidden_words": ["fox"]}, "foxes", "The Fox."),
        ("keywords:frequency", {"keyword": "ha", "frequency": 2, **AT_LEAST}, "ha ha", "ha"),
        (
            "keywords:letter_frequency",
            {"letter": "Z", "let_frequency": 2, "let_relation": "at least"},
            "Zz",
            "z",
        ),
        ("startend:end_checker", {"end_phrase": "The end."}, 'x "the END."', "the end. x"),
        ("startend:quotation", {}, ' "x" ', '"x'),
        ("punctuation:no_comma", {}, "a; b", "a, b"),
        ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
        ("detectable_format:title", {}, "<<t>>\nx", "<t>"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n* b", "* a"),
        ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x\nP.S. y", "x"),
        ("detectable_content:number_placeholders", {"num_placeholders": 1}, "[me]", "me"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, "say it: it", "it"),
        ("language:response_language", {"language": "de"}, "Das ist ein Satz.", "This is one."),
    ],
)
def test_what_follows_and_what_does_not(
    name: str, kwargs: dict[str, Any], good: str, bad: str
) -> None:
    asked = one(name, **kwargs)
    assert follows(asked, good) is True
    assert follows(asked, bad) is False


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("response", ["", " \n\t", "\u00a0\u2003"])
def test_an_empty_response_passes_nothing(response: str) -> None:
    assert follows(one("punctuation:no_comma"), response) is False


@pytest.mark.usefixtures("library")
def test_all_must_pass() -> None:
    asked = one("punctuation:no_comma") + one("startend:quotation")
    assert [follows(asked, r) for r in ('"a"', '"a, b"', "a", "a, b")] == [
        True,
        False,
        False,
        False,
    ]


def test_without_checks_nothing_is_said_and_no_library_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nltk", None)
    checkers.cache_clear()
    assert follows(None, "x") is follows([], "x") is None
    assert asyncio.run(check(None, "x")) is None
    for empty in ({}, {"checks": None}, {"checks": []}, {"checks": ""}, {"checks": " "}):
        assert read_checks({"prompt": "x", **empty}) is None
    assert read_checks({"instruction_id_list": [], "kwargs": []}) is None
    assert read_checks({"kwargs": "a column of somebody's own"}) is None


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("word", ["C++", "(", "a.b", "[x", "\\", "(a+)+$", "a b"])
def test_a_keyword_stands_for_itself(word: str) -> None:
    present = one("keywords:existence", keywords=[word])
    assert follows(present, f"so: {word}!") is True
    assert follows(present, "so: aXb C nothing aab") is False
    counted = one("keywords:frequency", keyword=word, frequency=2, relation="at least")
    assert follows(counted, f"{word} and {word}") is True
    assert follows(counted, word) is False
    sections = one("detectable_format:multiple_sections", section_spliter=word, num_sections=1)
    assert follows(sections, f"{word} 1 x") is True


@pytest.mark.usefixtures("library")
def test_the_same_is_said_every_time() -> None:
    asked = one("language:response_language", language="en")
    short = "ok no si da"
    assert len({follows(asked, short) for _ in range(30)}) == 1


@pytest.mark.usefixtures("_no_nltk_data")
def test_a_check_that_cannot_run_says_so_once_and_claims_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = one("length_constraints:number_sentences", num_sentences=1, relation="at least")
    with caplog.at_level(logging.WARNING):
        assert [follows(asked, "One. Two.") for _ in range(3)] == [None] * 3
    [said] = caplog.messages
    assert "number_sentences did not run" in said
    assert "python -m nltk.downloader punkt_tab" in said
    assert "\n" not in said
    assert follows(asked + one("punctuation:no_comma"), "One.") is None
    assert follows(asked + one("punctuation:no_comma"), "One, two.") is False, "another denies it"


@pytest.mark.usefixtures("library")
def test_nothing_of_a_response_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    deep = "[" * 20_000
    assert follows(one("detectable_format:json_format"), deep) is None
    assert follows(one("change_case:english_lowercase"), "\u0130\x1b[31m 1234") is not None
    assert all(deep[:9] not in said and "\x1b" not in said for said in caplog.messages)


@pytest.mark.usefixtures("library")
def test_a_huge_response_is_not_checked(caplog: pytest.LogCaptureFixture) -> None:
    began = time.process_time()
    assert follows(one("detectable_content:number_placeholders", num_placeholders=1),
                   "[" * 1_000_000) is None  # fmt: skip
    assert time.process_time() - began < 5
    assert "longer than" in caplog.text
    assert follows(one("punctuation:no_comma"), "x" * LONGEST) is True
    assert follows(one("punctuation:no_comma"), "x" * (LONGEST + 1)) is None


@pytest.mark.usefixtures("library")
def test_a_check_of_another_version_of_the_library_claims_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert follows([{"id": "new:checker", "kwargs": "{}"}], "x") is None
    assert "new:checker did not run" in caplog.text


@pytest.mark.usefixtures("library")
@settings(max_examples=60, derandomize=True, deadline=None)
@given(response=st.text(max_size=80))
def test_any_text_can_be_checked(response: str) -> None:
    asked = [
        *one("punctuation:no_comma"),
        *one("keywords:existence", keywords=["x"]),
        *one("detectable_format:json_format"),
        *one("startend:end_checker", end_phrase="x"),
        *one("change_case:english_lowercase"),
    ]
    assert follows(asked, response) in (True, False)


@pytest.mark.usefixtures("library")
@pytest.mark.skipif(not IFEVAL.exists(), reason="IFEval's prompts are not here")
def test_ifeval_is_read_and_answered_as_the_library_itself_does() -> None:
    from lm_eval.tasks.ifeval import utils  # type: ignore[import-not-found, unused-ignore]

    refused, compared = [], 0
    for line in IFEVAL.read_text().splitlines():
        row = json.loads(line)
        try:
            read = read_checks(row)
        except BadChecks as error:
            refused.append((row["key"], str(error)))
            continue
        assert read is not None
        asked = [asdict(each) for each in read]
        inp = utils.InputExample(
            row["key"], row["instruction_id_list"], row["prompt"], row["kwargs"]
        )
        for response in ("plain", '"A long one. ' + "more words * " * 300 + '"', row["prompt"]):
            with contextlib.suppress(LookupError):  # NLTK's data may be missing
                strict = utils.test_instruction_following_strict(inp, response)
                assert follows(asked, response) is strict.follow_all_instructions
                compared += 1
    assert refused == [
        (1122, 'keywords:letter_frequency: no such letter: "#"'),
        (1129, 'keywords:letter_frequency: no such letter: "!"'),
    ], "two prompts for which the library draws a letter at random"
    assert compared > 1000
