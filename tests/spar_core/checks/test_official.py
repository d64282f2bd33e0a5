"""The checks of a benchmark: what is read, and what is said, as its own code has it."""

from __future__ import annotations

import random
import sys
from types import ModuleType
from typing import Any

import pytest

from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.library import Library, NoChecker
from spar_core.checks.official import official, read_official
from spar_core.checks.undecided import Undecided


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
    return Library("small_registry", ("nltk",), "small", "small-one", "or make it")


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
    absent = Library("no_such_registry", (), "small", "small-one", "or make it")
    with pytest.raises(
        NoChecker,
        match="small needs the package no_such_registry: pip install small-one, or make it",
    ):
        official(Check("a:starts", "{}"), "p", ["x"], absent)
