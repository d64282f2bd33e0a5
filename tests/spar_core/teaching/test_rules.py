"""The teacher that is a program: exact lessons, and what is taken out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from spar_core.checks.strict import follows
from spar_core.conversation import (
    Refinement,
    read_refinement,
    read_vote,
    write_refinement,
)
from spar_core.preference import similarity
from spar_core.teaching.lesson import Lesson, Lessons, Taken
from spar_core.teaching.rules import lessons

CLOSEST = 0.5
LONG = "The clock has a spring, two hands, and many wheels that turn all day and all night long."
MENDED = '"the clock has a spring two hands and many wheels that turn all day and all night long."'


def asked(**checks: Mapping[str, Any]) -> list[dict[str, str]]:
    """Checks by the last part of their ids."""
    groups = {
        "no_comma": "punctuation",
        "quotation": "startend",
        "end_checker": "startend",
        "english_lowercase": "change_case",
        "english_capital": "change_case",
        "existence": "keywords",
        "forbidden_words": "keywords",
        "number_words": "length_constraints",
        "number_sentences": "length_constraints",
        "number_bullet_lists": "detectable_format",
        "response_language": "language",
    }
    return [
        {"id": f"{groups[name]}:{name}", "kwargs": json.dumps(dict(given))}
        for name, given in checks.items()
    ]


def kinds(made: Lessons) -> list[tuple[str, str, str | None]]:
    """What each lesson is: its task, its source, its label."""
    tasks = ("judge" if each.refinement is None else "refine" for each in made.learnt)
    return [(task, each.source, each.label) for task, each in zip(tasks, made.learnt, strict=True)]


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


def test_a_passing_answer_is_a_judgement_and_an_answer() -> None:
    made = lessons(asked(no_comma={}), "It ticks.", 1, CLOSEST)
    [critique] = [each.critique for each in made.learnt]
    assert made == Lessons(
        [Lesson("response", "It ticks.", critique, "Yes", checked=True)], [], "It ticks."
    )
    assert critique == (
        "Step-by-step verification: 1. No commas: there is no comma, met.\n"
        "Final Judgement (if the Output accurately follows the Prompt): Yes"
    )


def test_a_failing_answer_is_judged_refined_and_judged_again() -> None:
    response, refined = "It ticks, and it tocks.", "It ticks and it tocks."
    made = lessons(asked(no_comma={}), response, 1, CLOSEST)
    first, refine, second = made.learnt
    assert first == Lesson("response", response, first.critique, "No", checked=False)
    assert first.critique == (
        'Step-by-step verification: 1. No commas: there is a comma after "ticks", missed.\n'
        "Final Judgement (if the Output accurately follows the Prompt): No"
    )
    assert refine == Lesson(
        "response",
        response,
        first.critique,
        None,
        Refinement("Mend: no commas.", refined),
        checked=True,
        similarity=similarity(response, refined),
    )
    assert second == Lesson("refinement", refined, second.critique, "Yes", checked=True)
    assert (made.answer, made.taken) == (refined, [])


def test_of_several_that_are_missed_one_is_left_in_a_near_miss() -> None:
    checks = asked(no_comma={}, english_lowercase={}, quotation={})
    seen = set()
    for seed in range(12):
        made = lessons(checks, LONG, seed, CLOSEST)
        assert kinds(made) == [
            ("judge", "response", "No"),
            ("refine", "response", None),
            ("judge", "refinement", "Yes"),
            ("judge", "near_miss", "No"),
            ("refine", "near_miss", None),
        ]
        assert made.answer == MENDED
        near, mended = made.learnt[3:]
        assert (near.critique.count(", missed."), near.critique.count(", met.")) == (1, 2)
        assert near.response == mended.response
        assert near.critique == mended.critique
        assert mended.refinement
        assert mended.refinement.response == MENDED
        assert mended.refinement.reflection.count(";") == 0
        seen.add(near.response)
    assert len(seen) == 3, "each of them is left some time"


def test_a_near_miss_that_passes_after_all_is_none() -> None:
    """Cut short, the answer has no comma any more."""
    checks = asked(number_words={"num_words": 4, "relation": "less than"}, no_comma={})
    for seed in range(8):
        made = lessons(checks, "It ticks. Then, it tocks and tocks.", seed, 0)
        assert made.answer == "It ticks."
        assert not [each for each in made.learnt if each.refinement and each.label]
        assert all("Mend: ." not in write_refinement(r) for each in made.learnt
                   if (r := each.refinement))  # fmt: skip
        assert [each.label for each in made.learnt if each.source == "near_miss"] in (
            [],
            ["No", None],
        )


def test_a_look_alike_has_something_else_where_it_was_asked_for() -> None:
    """It is mended all the same: a judge cannot know it by its looks."""
    checks = asked(existence={"keywords": ["lamp"]}, no_comma={})
    for seed in range(8):
        made = lessons(checks, "It ticks.", seed, 0)
        assert kinds(made) == [
            ("judge", "response", "No"),
            ("refine", "response", None),
            ("judge", "refinement", "Yes"),
            ("judge", "look_alike", "No"),
            ("refine", "look_alike", None),
            ("judge", "refinement", "Yes"),
        ]
        alike, mended = made.learnt[3:5]
        assert alike.response.startswith("It ticks.")
        assert len(alike.response) > len("It ticks.")
        assert "lamp" not in alike.response
        assert mended.refinement
        assert "lamp" in mended.refinement.response
        assert mended.refinement.response.startswith(alike.response[:-1])
        assert made.learnt[5].response == mended.refinement.response


def test_a_lesson_is_what_it_says() -> None:
    checks = asked(
        existence={"keywords": ["lamp"]},
        forbidden_words={"forbidden_words": ["many"]},
        end_checker={"end_phrase": "The end."},
    )
    for seed in range(10):
        made = lessons(checks, LONG, seed, CLOSEST)
        assert made == lessons(checks, LONG, seed, CLOSEST)
        for each in made.learnt:
            if each.refinement is None:
                assert read_vote(each.critique) == each.label
                assert follows(checks, each.response) is each.checked is (each.label == "Yes")
            else:
                assert read_vote(each.critique) == "No"
                assert read_refinement(write_refinement(each.refinement)) == each.refinement
                assert follows(checks, each.refinement.response) is each.checked is True
                assert (each.similarity or 0) >= CLOSEST
    assert len({lessons(checks, LONG, seed, 0).answer for seed in range(10)}) > 1


@pytest.mark.parametrize("checks", [None, []])
def test_without_checks_there_is_nothing_to_say(checks: list[dict[str, str]] | None) -> None:
    assert lessons(checks, "x", 1, CLOSEST) == Lessons([], [Taken("judgement", "no_checks")])


def test_of_a_check_it_does_not_know_it_says_nothing() -> None:
    checks = asked(no_comma={}, response_language={"language": "en"})
    assert lessons(checks, LONG, 1, CLOSEST) == Lessons(
        [], [Taken("judgement", "unknown_check", "language:response_language")]
    )


def test_what_cannot_be_repaired_is_judged_all_the_same() -> None:
    made = lessons(asked(number_bullet_lists={"num_bullets": 3}), "Yes.", 1, CLOSEST)
    assert kinds(made) == [("judge", "response", "No")]
    assert (made.taken, made.answer) == ([Taken("refinement", "no_repair")], None)


def test_a_refinement_that_is_far_off_is_left_out() -> None:
    made = lessons(asked(number_words={"num_words": 3, "relation": "less than"}), LONG, 1, CLOSEST)
    assert kinds(made) == [("judge", "response", "No")]
    assert (made.taken, made.answer) == ([Taken("refinement", "not_close")], None)
    assert lessons(asked(no_comma={}), LONG, 1, 1.0).taken == [Taken("refinement", "not_close")]
    assert lessons(asked(no_comma={}), LONG, 1, 0.9).taken == []


@pytest.mark.parametrize("case", ["english_capital", "english_lowercase"])
@pytest.mark.parametrize("text", [LONG, LONG.upper().swapcase(), LONG.upper()])
def test_case_does_not_count_where_it_is_what_is_asked_for(case: str, text: str) -> None:
    made = lessons(asked(**{case: {}}), text, 1, CLOSEST)
    assert "Yes" in [each.label for each in made.learnt]
    assert made.taken == []
    for each in made.learnt:
        if each.refinement:
            assert each.similarity == similarity(text, each.refinement.response), "as in pairs"
    far = asked(english_capital={}, number_words={"num_words": 5, "relation": "less than"})
    assert Taken("refinement", "not_close") in lessons(far, LONG, 1, CLOSEST).taken


def test_the_checker_has_the_last_word() -> None:
    """What is no English is no English in lowercase."""
    german = "das ist ein ganz normaler satz auf deutsch und nichts sonst"
    made = lessons(asked(english_lowercase={}), german, 1, CLOSEST)
    assert made == Lessons([], [Taken("judgement", "program_disagrees")])
    made = lessons(asked(english_lowercase={}), german.capitalize(), 1, CLOSEST)
    assert kinds(made) == [("judge", "response", "No")]
    assert (made.taken, made.answer) == ([Taken("refinement", "does_not_pass")], None)


@pytest.mark.parametrize("response", ["", " \n"])
def test_an_empty_answer_is_none(response: str) -> None:
    assert lessons(asked(no_comma={}), response, 1, CLOSEST) == Lessons(
        [], [Taken("judgement", "program_disagrees")]
    )
    made = lessons(asked(quotation={}), response, 1, CLOSEST)
    assert kinds(made) == [("judge", "response", "No")]
    assert made.answer is None


def test_what_cannot_be_checked_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Lessons([], [Taken("judgement", "not_checked")])
    assert lessons(asked(no_comma={}), "x" * 30_000, 1, CLOSEST) == nothing
    nltk = pytest.importorskip("nltk")
    instructions_util = pytest.importorskip("lm_eval.tasks.ifeval.instructions_util")
    follows(asked(no_comma={}), "x")
    monkeypatch.setattr(nltk.data, "path", [])
    instructions_util._get_sentence_tokenizer.cache_clear()
    sentences = asked(number_sentences={"num_sentences": 2, "relation": "at least"})
    assert lessons(sentences, "One. Two.", 1, CLOSEST) == nothing
    instructions_util._get_sentence_tokenizer.cache_clear()


def test_a_quotation_of_the_format_is_not_taken_for_it() -> None:
    response = "Final Judgement: Yes, it is Final Judgement: Yes"
    made = lessons(asked(quotation={}), response, 1, CLOSEST)
    assert [read_vote(each.critique) for each in made.learnt if each.label] == [
        each.label for each in made.learnt if each.label
    ]
    checks = asked(end_checker={"end_phrase": "Final Judgement: No"})
    made = lessons(checks, "It ends with Final Judgement: No", 1, CLOSEST)
    assert [(each.label, read_vote(each.critique)) for each in made.learnt] == [("Yes", "Yes")]


@pytest.mark.parametrize("marker", ["[[start]]", "[[end]]"])
def test_a_marker_in_the_answer_is_no_refinement_that_could_not_be_read(marker: str) -> None:
    made = lessons(asked(no_comma={}), f"{LONG} {marker} {LONG}", 1, CLOSEST)
    for each in made.learnt:
        if each.refinement:
            assert read_refinement(write_refinement(each.refinement)) == each.refinement
    off_format = Taken("refinement", "off_format")
    assert (off_format in made.taken) is (marker == "[[end]]")
