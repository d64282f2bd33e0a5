"""The wire format: what is said to the models, and how their answers are read."""

from __future__ import annotations

import re

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
        # The bracket before the colon, and the words of the form, are no verdict.
        ("Final Judgement (Yes/No): No", "No"),
        ("Final Judgement (Yes or no): No", "No"),
        ("Final Judgement (yes/no): Yes", "Yes"),
        ("**Final Judgement** (Yes / No): **No**", "No"),
        ("**Final Judgement (Yes/No)**: Yes", "Yes"),
        ("**Final Judgement (if the Output accurately follows the Prompt):** No", "No"),
        ("Final Judgement [Yes/No]: No", "No"),
        ("Final Judgement: Yes/No? No", "No"),
        ("Final Judgement (No)", "No"),
        # What is quoted or thought aloud before is no verdict.
        ("The form asks for 'Final Judgement: Yes or No'.\nFinal Judgement: No", "No"),
        ("Final Judgement: Yes\nWait, the comma.\nFinal Judgement: No", "No"),
        ('The Output says "Final Judgement: Yes".\n\nFinal Judgement: No', "No"),
        ('Final Judgement: No\n(The Output itself says "Final Judgement: Yes".)', "No"),
        ("1. My final judgement would be Yes here.\n**Final Judgement**: No", "No"),
        ("Before the Final Judgement: Yes is tempting.\nFinal Judgment: No", "No"),
        ("> Final Judgement: Yes\n\nFinal Judgement: No", "No"),
        # Spelling, case and Markdown.
        ("Final Judgment: Yes", "Yes"),
        ("final judgement: yes", "Yes"),
        ("FINAL JUDGEMENT: NO", "No"),
        ("final judgment: **no**", "No"),
        ("### Final Judgment\nYes", "Yes"),
        ("### Final Judgement: No ###", "No"),
        ("**Final Judgement: Yes**", "Yes"),
        ("__Final Judgement__: _No_", "No"),
        ("*Final Judgement*: *Yes*", "Yes"),
        ("- **Final Judgement:** Yes", "Yes"),
        ("3. Final Judgement: No", "No"),
        ("Final Judgement: `Yes`", "Yes"),
        ("Final Judgement: [No]", "No"),
        ("Final Judgement: <Yes>", "Yes"),
        ('Final Judgement: "No"', "No"),
        ("Final Judgement: $\\boxed{Yes}$", "Yes"),
        ("Final Judgement: \\boxed{\\text{No}}", "No"),
        ("Final Judgement\uff1aYes", "Yes"),
        ("Final Judgement - No", "No"),
        ("Final Judgement:\r\nYes\r\n", "Yes"),
        ("Final Judgement: ✅ Yes", "Yes"),
        ("The final judgement is therefore No.", "No"),
        ("So my Final Judgement is: Yes.", "Yes"),
        # A `no` that belongs to what follows it is no verdict.
        ("Final Judgement: No faults, so Yes", "Yes"),
        ("Final Judgement: There is no comma. Yes", "Yes"),
        ("Final Judgement: No requirement is missed. Yes.", "Yes"),
        ("Final Judgement: No errors were found", None),
        # Reasons after the verdict.
        ("Final Judgement: No, because no title is there.", "No"),
        ("Final Judgement: No because it has a comma", "No"),
        ("Final Judgement: Yes as the Output meets all of it", "Yes"),
        ("Final Judgement: Yes - all is met, with no comma.", "Yes"),
        ("Final Judgement: No; yes would be too kind", "No"),
        ("Final Judgement: Yes\n\nNo further remarks.", "Yes"),
        # Nothing to be read.
        ("Yes", None),
        ("", None),
        ("Final Judgement: ", None),
        ("Final Judgement: Yes or No", None),
        ("Final Judgement (Yes/No):", None),
        ("Final Judgement: Yes\nHm.\nFinal Judgement (if the Output", None),
        ("Final Judgement: none, nowhere", None),
        ("Yes\nFinal Judgement", None),
        ("Final Judgements differ: Yes", None),
    ],
)
def test_a_vote_is_the_yes_or_no_of_the_last_verdict(text: str, vote: str | None) -> None:
    assert read_vote(text) == vote


@pytest.mark.parametrize("run", ["\n", "*", " ", "_", "# ", "**\n", "(", ") ", "1"])
def test_long_runs_of_nothing_are_read_in_a_moment(run: str) -> None:
    """Reading is linear in the text: a pattern that goes back would take minutes, or days."""
    long = run * 100_000
    assert read_vote(f"{long}a\nFinal Judgement: No") == "No"
    assert read_vote(f"Final Judgement: {long}a\nYes") == "Yes"
    found = read_refinement(f"{long}x [[start]] a [[end]]")
    assert found is not None and found.response == "a"


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


@pytest.mark.parametrize(
    ("text", "reflection", "response"),
    [
        ("[[start]] a [[end]] [[start]] b [[end]]", "[[start]] a [[end]]", "b"),
        (
            "Draft: [[start]]a[[end]]\nFinal Refined Output: [[start]]b[[end]]",
            "Draft: [[start]]a[[end]]",
            "b",
        ),
        ("[[start]] a [[end]] [[start]] cut off", "", "a"),
        ("between [[start]] and [[end]]: [[start]]b[[end]]", "between [[start]] and [[end]]:", "b"),
        (
            "[[start]] a [[end]] [[start]] b [[start]] c [[end]]",
            "[[start]] a [[end]]",
            "b [[start]] c",
        ),
    ],
)
def test_the_last_complete_refined_output_counts(text: str, reflection: str, response: str) -> None:
    assert read_refinement(text) == Refinement(reflection, response)


@pytest.mark.parametrize(
    "text",
    [
        "**Reflection on how to refine the Output:** Too long.\n**Final Refined Output:** {}",
        "## Reflection on how to refine the Output:\nToo long.\n\n## Final Refined Output:\n{}",
        "**Reflection on how to refine the Output**: Too long.\n\n**Final Refined Output**: {}",
        "*Reflection on how to refine the Output:* Too long.\n*Final Refined Output:*\n{}",
        "### **Reflection on how to refine the Output:**\nToo long.\n"
        "### **Final Refined Output:**\n{}",
        "reflection on how to refine the output: Too long.\nfinal refined output: {}",
    ],
)
def test_labels_in_markdown_leave_nothing_behind(text: str) -> None:
    found = read_refinement(text.format("[[start]] x [[end]]"))
    assert found == Refinement("Too long.", "x")
    again = write_refinement(found)
    assert again.count("Reflection on how to refine") == 1 and "*" not in again
    assert read_refinement(again) == found


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


@pytest.mark.parametrize("limit", [64, 192, 256])
def test_no_rule_with_alternatives_is_repeated_up_to_a_large_count(limit: int) -> None:
    """xgrammar takes half a second a token for such a repeat, and next to nothing for a class."""
    for grammar in (judge_grammar(limit), refine_grammar(limit)):
        rules = dict(line.split(" ::= ") for line in grammar.splitlines())
        for repeated, most in re.findall(r"(\S+)\{\d+,(\d+)\}", grammar):
            is_class = re.fullmatch(r"\[\^[^ ]+\]", repeated)
            assert is_class or (int(most) <= 8 and "|" not in rules[repeated]), repeated


def test_fingerprint_changes_with_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conversation.fingerprint()
    assert before == conversation.fingerprint()
    monkeypatch.setattr(conversation, "REFINE", conversation.REFINE + " ")
    assert conversation.fingerprint() != before
