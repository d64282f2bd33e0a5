"""FollowBench's judge: what it is asked, and what its answer comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from evaluation.benchmark import Finding
from evaluation.benchmarks.followbench.judge import grade, question, read_list
from schemas.items import Item
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import JudgeSettings
from tests.evaluation.benchmarks.followbench.examples import item

SAMPLING = Sampling(0.0, 1.0, 512)


def engine(*texts: str) -> ScriptedEngine:
    return ScriptedEngine(lambda request: texts)


def graded(asked: Item, texts: Sequence[str], quorum: int = 1) -> list[Finding]:
    judging = JudgeSettings(SAMPLING, votes=len(texts), quorum=quorum)
    return asyncio.run(grade(engine(*texts), judging, asked, "My answer.", 5))


def test_the_judge_is_shown_the_path_and_the_answer() -> None:
    asked, judge = item("situation", 3), engine('...\n["YES", "NO", "YES"]')
    found = asyncio.run(grade(judge, JudgeSettings(SAMPLING, 1, 1), asked, "My {answer}.", 5))
    assert [(each.number, each.value, each.constraint) for each in found] == [
        (0, 1.0, "situation"),
        (1, 0.0, "situation"),
        (2, 1.0, "situation"),
    ]
    [request] = judge.requests
    assert (request.n, request.seed, request.sampling) == (1, 5, SAMPLING)
    [message] = request.messages
    assert message == {"role": "user", "content": question(asked, "My {answer}.")}
    text = message["content"]
    steps = ["step 0", "### Step 1\nstep 1", "### Step 2\nstep 2", "### Step 3\nstep 3"]
    places = [text.index(part) for part in [*steps, "My {answer}.", "in their order, 3 in all"]]
    assert places == sorted(places)
    assert "situation constraint (" in text
    assert [each.prompt_tokens for each in found] == [len(text) // 4, 0, 0]
    assert [each.completion_tokens > 0 for each in found] == [True, False, False]


def test_a_path_without_a_start_says_so() -> None:
    asked = item("content", 1, "COGNAC")
    bare = Item(*("", "followbench", "content/9/1", "List."), 0, details='{"path": [""]}', level=1)
    assert "There is none" in question(bare, "x")
    assert "There is none" not in question(asked, "x")


def test_what_a_rule_decides_is_not_asked() -> None:
    asked = item("content", 1, "E2E", "name[A]")

    def script(request: ChatRequest) -> list[str]:
        raise AssertionError

    judging = JudgeSettings(SAMPLING)
    assert asyncio.run(grade(ScriptedEngine(script), judging, asked, "name[A]", 1)) == []


def test_each_constraint_has_its_own_majority() -> None:
    texts = ["a\n['YES', 'NO']", "b\n['YES', 'YES']", "c\n['NO', 'NO']"]
    first, second = graded(item("style", 2), texts, quorum=3)
    assert (first.value, first.critique) == (1.0, texts[0])
    assert (second.value, second.critique) == (0.0, texts[0])


def test_a_tie_is_undecided() -> None:
    first, second = graded(item("style", 2), ['["YES", "NO"]', '["NO", "NO"]'], quorum=2)
    assert (first.value, first.critique) == (None, 'tie: ["NO", "NO"]')
    assert second.value == 0.0


def test_an_unreadable_judgement_is_undecided() -> None:
    found = graded(item("style", 2), ["All is met."])
    assert [(each.value, each.critique) for each in found] == [(None, "All is met.")] * 2


def test_too_few_readable_votes_decide_nothing() -> None:
    texts = ['["YES"]', "hm", '["YES"]']
    assert graded(item("style", 1), texts, quorum=2)[0].value == 1.0
    [found] = graded(item("style", 1), texts, quorum=3)
    assert (found.value, found.critique) == (None, "hm")
    [found] = graded(item("style", 1), texts[:1], quorum=3)
    assert (found.value, found.critique) == (None, 'no quorum: ["YES"]')


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ('1. met\n["YES", "NO"]', 2, ("Yes", "No")),
        ("```json\n['NO']\n```\n", 1, ("No",)),
        ("[YES,NO]", 2, ("Yes", "No")),
        ('["YES", "NO"]', 3, None),
        ('["YES", "NO"]\nThat is all.', 2, None),
        ('**["YES", "NO"]**', 2, ("Yes", "No")),
        ('1. met\n\n["YES", "NO"].', 2, ("Yes", "No")),
        ('List: ["YES"]', 1, ("Yes",)),
        ('**List:** ["NO"]', 1, ("No",)),
        ("Final JSON list: [YES]", 1, ("Yes",)),
        ("[YES, PARTIAL]", 2, ("Yes", "No")),
        ('["MAYBE", "UNKNOWN", "N/A", "yes"]', 4, ("No", "No", "No", "Yes")),
        ('["YES", "PERHAPS"]', 2, None),
        ('So it is ["YES"], I think', 1, None),
        ("YES", 1, None),
        ("[]", 1, None),
        ("", 1, None),
    ],
)
def test_only_a_list_in_the_last_line_is_read(text: str, count: int, said: object) -> None:
    assert read_list(text, count) == said
