"""Checks: what is read, what is refused, and what is said of a response."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.prompts import Check
from spar_core import checks
from spar_core.checks import (
    LONGEST,
    BadChecks,
    Library,
    NoChecker,
    Undecided,
    can_check,
    check,
    count_sentences,
    count_words,
    follows,
    official,
    read_checks,
    read_official,
)

IFEVAL = Path(__file__).parents[3] / "shared/bench/ifeval/input_data.jsonl"
WORDS = "length_constraints:number_words"
AT_LEAST = {"relation": "at least"}
NO_COMMA = {"id": "punctuation:no_comma"}


@pytest.fixture(autouse=True)
def _warn_anew() -> Iterator[None]:
    checks._warn.cache_clear()
    yield
    checks._library.cache_clear()


@pytest.fixture
def library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


@pytest.fixture
def _no_nltk_data(library: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk  # type: ignore[import-not-found, unused-ignore]
    from lm_eval.tasks.ifeval import instructions_util  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(nltk.data, "path", [])
    instructions_util._get_sentence_tokenizer.cache_clear()


def one(name: str, **kwargs: Any) -> list[dict[str, str]]:
    """A check as it stands in the table, read from the input."""
    read = read_checks({"checks": [{"id": name, "kwargs": kwargs}]})
    assert read is not None
    return [asdict(each) for each in read]


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
    checks._library.cache_clear()
    assert follows(None, "x") is follows([], "x") is None
    assert asyncio.run(check(None, "x")) is None
    for empty in ({}, {"checks": None}, {"checks": []}, {"checks": ""}, {"checks": " "}):
        assert read_checks({"prompt": "x", **empty}) is None
    assert read_checks({"instruction_id_list": [], "kwargs": []}) is None
    assert read_checks({"kwargs": "a column of somebody's own"}) is None


@pytest.mark.parametrize("missing", ["nltk", "langdetect", "lm_eval"])
def test_a_missing_library_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    checks._library.cache_clear()
    with pytest.raises(NoChecker, match=r"extra `checks`.*pip install"):
        read_checks({"checks": [NO_COMMA]})
    with pytest.raises(NoChecker) as raised:
        follows([{"id": "punctuation:no_comma", "kwargs": "{}"}], "x")
    assert (raised.value.cause, raised.value.retry) == ("no_checker", True)


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
def test_the_library_neither_prints_nor_asks_the_network(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk

    def refuse(*_: object, **__: object) -> bool:
        raise AssertionError("asked the network")

    monkeypatch.setattr(nltk, "download", refuse)
    for name in [m for m in sys.modules if m.startswith("lm_eval.tasks.ifeval")]:
        monkeypatch.delitem(sys.modules, name)
    checks._library.cache_clear()
    assert follows(one("language:response_language", language="en"), "12345 67") is True
    assert nltk.download is refuse, "put back"
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("library")
def test_nothing_of_a_response_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    deep = "[" * 20_000
    assert follows(one("detectable_format:json_format"), deep) is None
    assert follows(one("change_case:english_lowercase"), "\u0130\x1b[31m 1234") is not None
    assert all(deep[:9] not in said and "\x1b" not in said for said in caplog.messages)


@pytest.mark.usefixtures("library")
def test_a_huge_response_is_not_checked(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    assert follows(one("detectable_content:number_placeholders", num_placeholders=1),
                   "[" * 1_000_000) is None  # fmt: skip
    assert time.monotonic() - began < 5
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


class Starts:
    """A checker as the libraries have them; a start of more than one letter it draws itself."""

    def __init__(self, name: str) -> None:
        raise AssertionError("asks the network for data")

    def build_description(self, *, start: str, prompt: str = "") -> None:
        self._start = start if len(start) == 1 else random.choice("xyz")

    def get_instruction_args(self) -> dict[str, Any]:
        return {"start": self._start}

    def check_following(self, value: str) -> bool:
        import nltk

        if value == "?":
            raise IndexError(value)
        assert nltk.download("stopwords") is False
        return value.startswith(self._start)


class Repeats(Starts):
    """A checker that is given the prompt."""

    def build_description(self, *, prompt: str = "") -> None:  # type: ignore[override]
        self._start = prompt

    def get_instruction_args(self) -> dict[str, Any]:
        return {"prompt": self._start}


@pytest.fixture
def small(library: None, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library of two checkers, of which no constructor is called."""
    module = ModuleType("small_registry")
    module.INSTRUCTION_DICT = {"a:starts": Starts, "a:repeats": Repeats}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "small_registry", module)
    return Library("small_registry", ("nltk",), "small needs itself", "make it")


def test_one_of_the_responses_is_enough(small: Library) -> None:
    asked = Check("a:starts", '{"start": "b"}')
    assert official(asked, "p", ["a", "", "bc"], small) is True
    assert official(asked, "p", ["a", ""], small) is False
    assert official(Check("a:starts", '{"start": ""}'), "p", [" "], small) is False, "empty"


def test_what_a_library_would_draw_is_what_the_benchmark_says(small: Library) -> None:
    asked = Check("a:starts", '{"start": "bc"}')
    assert [official(asked, "p", ["bcd"], small) for _ in range(8)] == [True] * 8
    assert official(asked, "p", ["xyz", "x", "y", "z"], small) is False


def test_a_checker_is_given_the_prompt(small: Library) -> None:
    assert official(Check("a:repeats", "{}"), "Say it", ["Say it: it"], small) is True
    assert official(Check("a:repeats", "{}"), "Say it", ["it"], small) is False


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Check("a:ends", "{}"), 'no checker "a:ends"'),
        (Check("a:starts", "{}"), "missing 1 required keyword-only argument: 'start'"),
        (Check("a:starts", '{"start": "?"}'), "IndexError"),
    ],
)
def test_an_official_check_that_cannot_run_says_so_once(
    small: Library, asked: Check, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with pytest.raises(Undecided) as raised:
            official(asked, "p", ["?"], small)
        assert said in str(raised.value)
    [warned] = caplog.messages
    assert "its prompts are not scored" in warned


def test_official_checks_are_read_with_their_arguments_as_they_are(small: Library) -> None:
    row = {"instruction_id_list": ["a:starts"], "kwargs": [{"start": "bc", "other": None}]}
    assert read_official(row, small) == [Check("a:starts", '{"start": "bc"}')]
    with pytest.raises(BadChecks, match="did you mean a:starts"):
        read_official({"instruction_id_list": ["a:start"], "kwargs": [{}]}, small)
    with pytest.raises(BadChecks, match="two lists"):
        read_official({"kwargs": []}, small)


def test_a_library_that_is_not_there_is_named_with_its_remedy() -> None:
    absent = Library("no_such_registry", (), "small needs itself", "make it")
    with pytest.raises(NoChecker, match=r"small needs itself \(No module.*\): make it"):
        official(Check("a:starts", "{}"), "p", ["x"], absent)
