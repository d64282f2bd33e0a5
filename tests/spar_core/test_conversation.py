"""The wire format: what is said to the models, and how their answers are read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core import conversation
from spar_core.conversation import (
    Refinement,
    actor_messages,
    judge_grammar,
    judge_messages,
    read_refinement,
    read_vote,
    refine_grammar,
    refine_messages,
    write_refinement,
)

seeded = settings(derandomize=True, deadline=None, max_examples=200)
REFINED = "Reflection on how to refine the Output: {}\nFinal Refined Output: [[start]] {} [[end]]"


@pytest.mark.parametrize(
    ("text", "vote"),
    [
        ("Final Judgement: Yes", "Yes"),
        ("Final Judgement: No", "No"),
        ("Final Judgement:No.", "No"),
        ("Final Judgement (if the Output accurately follows the Prompt): Yes", "Yes"),
        ("ok\nFinal Judgement (whether all is well): No\n", "No"),
        ("**Final Judgement:** **Yes**", "Yes"),
        ("## Final Judgement\n\n__No__", "No"),
        ("Final Judgement: YES!", "Yes"),
        ("Final Judgement: NO", "No"),
        ("Final Judgement (Yes or No): No", "No"),
        ("Final Judgement: Yes or No\nNo", "No"),
        ("Final Judgement: No. Yes would be too kind.", "No"),
        ("Final Judgement: None of it is wrong: Yes", "Yes"),
        ("Final Judgement: Notably, Yesterday is spelt well. Yes", "Yes"),
        ("No, no, No. Final Judgement: Yes", "Yes"),
        ("Yes", None),
        ("", None),
        ("Final Judgement: ", None),
        ("Final Judgement: Yes or No", None),
        ("Final Judgement: none, nowhere", None),
        ("Yes\nFinal Judgement", None),
    ],
)
def test_vote_is_first_yes_or_no_after_the_words(text: str, vote: str | None) -> None:
    assert read_vote(text) == vote


def test_refinement_has_reflection_and_response() -> None:
    assert read_refinement(REFINED.format("Be brief.", "A\nB")) == Refinement("Be brief.", "A\nB")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Final Refined Output: hello",
        "Reflection: x [[start]] cut off in the mid",
        "hello [[end]]",
        "[[end]] hello [[start]]",
        "[[start]][[end]]",
        "Final Refined Output: [[start]] \n\t [[end]]",
    ],
)
def test_refinement_without_both_markers_and_text_is_none(text: str) -> None:
    assert read_refinement(text) is None


@pytest.mark.parametrize(
    ("text", "reflection"),
    [
        ("[[start]] x [[end]]", ""),
        ("Final Refined Output: [[start]] x [[end]]", ""),
        ("Reflection on how to refine the Output:\nFinal Refined Output:\n[[start]]x[[end]]", ""),
        ("Too long.\n[[start]] x [[end]] and so on", "Too long."),
        ("Too long.\nFinal Refined Output: [[start]] x [[end]]", "Too long."),
        ("Reflection on how to refine the Output: Too long. [[start]]x[[end]]", "Too long."),
    ],
)
def test_refinement_is_read_with_labels_left_out(text: str, reflection: str) -> None:
    assert read_refinement(text) == Refinement(reflection, "x")


def test_brackets_inside_a_refined_output_are_kept() -> None:
    text = "a [link](b) [[c]] x[0][1] [end]"
    assert read_refinement(REFINED.format("r", text)) == Refinement("r", text)


def test_refined_output_ends_at_the_first_end() -> None:
    found = read_refinement("[[start]] one [[end]] [[start]] two [[end]]")
    assert found == Refinement("", "one")


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=80).map(str.strip)


@seeded
@given(
    reflection=_text.filter(lambda text: "[[" not in text),
    response=_text.filter(lambda text: text and "]]" not in text),
)
def test_written_refinement_is_read_back(reflection: str, response: str) -> None:
    refinement = Refinement(reflection, response)
    assert read_refinement(write_refinement(refinement)) == refinement


@seeded
@given(prompt=st.text(), response=st.text(), critique=st.text())
def test_texts_survive_in_messages(prompt: str, response: str, critique: str) -> None:
    asked = refine_messages(prompt, response, critique)
    assert f'Prompt: "{prompt}"\n\nOutput: "{response}"\n' in asked[0]["content"]
    assert asked[1]["content"] == critique
    assert actor_messages(prompt) == [{"role": "user", "content": prompt}]


@pytest.mark.parametrize(
    "text", ["{response}", "{prompt}", "{}", "{0} {{x}} {x!r:>{y}}", "%s $a \\1"]
)
def test_template_like_text_means_nothing(text: str) -> None:
    content = judge_messages(text, text)[0]["content"]
    assert content.count(text) == 2 and f'Prompt: "{text}"' in content


def test_refine_conversation_goes_on_from_the_judge_conversation() -> None:
    judged, refined = judge_messages("p", "r"), refine_messages("p", "r", "c")
    assert refined[: len(judged)] == judged
    assert [m["role"] for m in refined] == ["user", "assistant", "user"]
    assert "[[start]]" in refined[-1]["content"] and "[[end]]" in refined[-1]["content"]


def test_judge_is_told_the_words_its_vote_is_read_by() -> None:
    asked = judge_messages("p", "r")[0]["content"]
    assert "Final Judgement" in asked
    assert read_vote(asked) is None, "an echo of the form is no vote"


@pytest.mark.parametrize("grammar", [judge_grammar, refine_grammar])
def test_grammar_is_bounded_by_a_short_limit_only(grammar: object) -> None:
    assert callable(grammar)
    assert len({grammar(limit) for limit in (64, 128, 256, 2048)}) == 4
    assert grammar(1024) == grammar(2048)
    assert "{1," in grammar(1) and "{1," not in grammar(2048)
    assert "{1,-" not in grammar(1)


def test_fingerprint_changes_with_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conversation.fingerprint()
    assert before == conversation.fingerprint()
    monkeypatch.setattr(conversation, "REFINE", conversation.REFINE + " ")
    assert conversation.fingerprint() != before
