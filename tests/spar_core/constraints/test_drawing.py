"""Drawing constraints for a seed."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.constraints import KINDS, go_together
from spar_core.constraints.drawing import Constraint, contradicts, draw, written
from spar_core.constraints.kind import said
from spar_core.constraints.words import _AVOIDED, _KEYWORDS
from tests.spar_core.constraints.asked import SEED, asked

ALL = list(KINDS.values())
FORBIDDEN, OPENING, CLOSING, REPEAT, WORDS = (
    KINDS[name]
    for name in (
        "keywords:forbidden_words",
        "length_constraints:nth_paragraph_first_word",
        "startend:end_checker",
        "combination:repeat_prompt",
        "length_constraints:number_words",
    )
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    seed=st.sampled_from([SEED, "Write a short poem.", "Name three cities in upper case."])
    | st.text(max_size=60),
    number=st.integers(0, 2**31),
    more=st.integers(0, 5),
)
def test_what_is_drawn_can_be_asked_for_together(seed: str, number: int, more: int) -> None:
    drawn = draw(seed, Random(number), ALL, more)
    assert drawn == draw(seed, Random(number), ALL, more)
    chosen = [each.kind for each in drawn.constraints]
    assert all(go_together(one, other) for one, other in combinations(chosen, 2))
    assert not any(contradicts(kind, seed) for kind in chosen)
    assert all(contradicts(KINDS[name], seed) for name in drawn.refused)
    assert len(drawn.further) <= more
    lengths = [kind.type == "length" for kind in chosen]
    assert lengths == sorted(lengths), "length comes last"
    for each in drawn.constraints:
        assert asked(each.kind, each.arguments)
        assert any(
            said((state,), each.arguments, Random(0)) == each.text for state in each.kind.states
        )


def test_seeds_of_the_draw_differ() -> None:
    drawn = [draw(SEED, Random(number), ALL) for number in range(400)]
    assert {each.main.kind.id for each in drawn if each.main} == set(KINDS)
    assert {len(each.further) for each in drawn} == {1, 2, 3}
    assert not any(each.refused for each in drawn)


def test_one_more_at_least_and_none_where_none_is_wanted() -> None:
    assert {len(draw(SEED, Random(n), ALL, 1).further) for n in range(50)} == {1}
    assert {len(draw(SEED, Random(n), ALL, 0).further) for n in range(50)} == {0}
    alone = draw(SEED, Random(0), [CLOSING])
    assert (alone.main and alone.main.kind, alone.further) == (CLOSING, ())
    assert draw(SEED, Random(0), [CLOSING, KINDS["detectable_content:postscript"]]).further == ()


@pytest.mark.parametrize(
    ("seed", "name"),
    [
        ("Write a SHORT essay on tea.", "length_constraints:number_words"),
        ("In which sentences is it used?", "length_constraints:number_sentences"),
        ("List three fruits separated by commas.", "punctuation:no_comma"),
        ("What does an acronym stand for? Explain the acronyms.", "change_case:english_lowercase"),
        ("Give me a headline for this.", "detectable_format:title"),
        ("How should a letter begin?", "length_constraints:nth_paragraph_first_word"),
        ("Quote the author: put it in quotes.", "startend:quotation"),
        ("Return a table.", "detectable_format:json_format"),
        ("Write an email template.", "detectable_content:number_placeholders"),
        ("Use simple words.", "keywords:existence"),
        ("Translate this.", "combination:repeat_prompt"),
        ("How does it end?", "startend:end_checker"),
    ],
)
def test_what_the_seed_speaks_of_is_refused(seed: str, name: str) -> None:
    assert contradicts(KINDS[name], seed)
    assert not contradicts(KINDS[name], SEED)
    nothing = draw(seed, Random(0), [KINDS[name]])
    assert (nothing.main, nothing.constraints, nothing.refused) == (None, [], (name,))
    other = KINDS["detectable_content:postscript"]
    for number in range(10):
        drawn = draw(seed, Random(number), [KINDS[name], other])
        assert drawn.main and drawn.main.kind is other
        assert drawn.refused in ((), (name,)), "only what was drawn before it"


def test_only_whole_words_of_a_seed_count() -> None:
    assert not contradicts(KINDS["startend:end_checker"], "My friend went to Endor.")
    assert not contradicts(KINDS["detectable_format:title"], "Untitled, renamed.")


def test_no_word_is_both_wanted_and_forbidden() -> None:
    """`well` is a word to begin with and one to avoid."""
    for number in range(600):
        drawn = draw(SEED, Random(number), [FORBIDDEN, OPENING], 1)
        given = {each.kind: each.arguments for each in drawn.constraints}
        if len(given) == 2:
            assert given[OPENING]["first_word"] not in given[FORBIDDEN]["forbidden_words"]
    assert not set(_AVOIDED.split()) & set(_KEYWORDS.split())


def test_a_long_seed_is_not_repeated_in_few_words() -> None:
    seed = "Tell me how " + "a clock works and " * 30 + "why."
    for number in range(60):
        drawn = draw(seed, Random(number), [REPEAT, WORDS], 1)
        both = {each.kind: each.arguments for each in drawn.constraints}
        assert not (REPEAT in both and both.get(WORDS, {}).get("relation") == "less than")


def test_a_seed_that_holds_all_words_gets_one_of_them() -> None:
    for kind, words in ((FORBIDDEN, _AVOIDED), (KINDS["keywords:frequency"], _KEYWORDS)):
        arguments = kind.draw(Random(0), words.upper())
        [word] = arguments.get("forbidden_words", [arguments.get("keyword")])
        assert word in words.split()


@pytest.mark.parametrize(
    ("seed", "prompt"),
    [
        ("Describe it", "Describe it. A."),
        (" Describe it!\n", "Describe it! A."),
        ("Sum up:\nOnce upon", "Sum up:\nOnce upon.\n\nA."),
        ("{a} [[start]]", "{a} [[start]] A."),
    ],
)
def test_a_prompt_is_the_seed_and_its_constraints(seed: str, prompt: str) -> None:
    no_comma = KINDS["punctuation:no_comma"]
    assert written(seed, [Constraint(no_comma, {}, "A.")]) == prompt
    assert (
        written(seed, [Constraint(no_comma, {}, text) for text in ("A.", "B.")]) == f"{prompt} B."
    )
