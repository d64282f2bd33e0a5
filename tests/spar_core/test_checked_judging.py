"""What votes and checks together say of a response."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from spar_core.checked_judging import Task, judge_checked
from spar_core.checks.strict import LONGEST
from spar_core.conversation import read_vote
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.methods.independent import INDEPENDENT
from spar_core.methods.self_refine import SELF
from spar_core.stages.judge import JUDGE
from spar_core.stages.pairs import PAIRS
from spar_core.stages.rft import RFT
from spar_core.stages.tree_search import TREE_SEARCH
from spar_core.testing import Made, run_stages
from spar_core.tree import TreeNode, ranked
from spar_core.voting import Ballot, Checks, Judged, JudgeSettings, count
from tests.spar_core.rows import LOWERCASE, NO_COMMA, Tables, respond

pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")

BOTH = [NO_COMMA, LOWERCASE]
MET = "this is a plain sentence about the weather"
HALF, MISSED = MET.replace("plain", "Plain"), MET.replace("plain", "Plain, simple")


def judged(
    text: str, yes: int, checks: Checks, *, complete: bool = True, asked: Any = BOTH
) -> tuple[Judged, ScriptedEngine]:
    def votes(request: ChatRequest) -> list[str]:
        return [f"vote {i}\nFinal Judgement: {'Yes' if i < yes else 'No'}" for i in range(5)]

    engine = ScriptedEngine(votes)
    settings = JudgeSettings(Sampling(0.7, 1.0, 100), checks=checks)
    task = Task("do it", asked, is_complete=complete)
    return asyncio.run(judge_checked(engine, task, text, settings, 1)), engine


@pytest.mark.parametrize(
    ("text", "yes", "complete", "outcomes"),
    [
        (MET, 4, True, ("yes", "yes", "yes")),
        (MET, 1, True, ("no", "disputed", "yes")),
        (MET, 1, False, ("no", "no", "no")),
        (HALF, 4, True, ("yes", "no", "no")),
        (HALF, 4, False, ("yes", "no", "no")),
        (MISSED, 1, True, ("no", "no", "no")),
        ("", 5, True, ("yes", "no", "no")),
    ],
)
def test_the_outcome_follows_from_verdict_and_checks(
    text: str, yes: int, complete: bool, outcomes: tuple[str, ...]
) -> None:
    words: tuple[Checks, ...] = ("report", "veto", "decide")
    for checks, outcome in zip(words, outcomes, strict=True):
        found, engine = judged(text, yes, checks, complete=complete)
        assert found.settled == outcome, checks
        assert found.passed == (outcome == "yes")
        assert found.checked == (text == MET)
        is_alone = checks == "decide" and complete
        assert found.by_program == is_alone == (not engine.requests)
        if not is_alone:
            assert found.verdict == ("yes" if yes > 2 else "no"), "the judge's own word stays"


def test_checks_met_count_only_where_checks_have_a_say() -> None:
    assert judged(HALF, 4, "report")[0].checks_met is None
    assert judged(HALF, 4, "veto")[0].checks_met == 0.5
    assert judged(MISSED, 4, "veto")[0].checks_met == 0
    assert judged(MET, 4, "decide")[0].checks_met == 1


def test_without_checks_nothing_changes() -> None:
    for checks in ("report", "veto", "decide"):
        for none in (None, []):
            found, engine = judged(MISSED, 4, checks, asked=none)
            assert (found.settled, found.checked, found.checks_met) == ("yes", None, None)
            assert len(engine.requests) == 1


def test_what_cannot_be_checked_is_judged() -> None:
    found, engine = judged("word " * LONGEST, 4, "decide")
    assert len(engine.requests) == 1 and not found.by_program
    assert (found.settled, found.checked, found.checks_met) == ("yes", None, None)


def test_the_critique_of_what_the_program_denies_says_no() -> None:
    one_says_no, _ = judged(HALF, 4, "veto")
    assert one_says_no.critique == "vote 4\nFinal Judgement: No"
    none_does, _ = judged(HALF, 5, "veto")
    assert read_vote(none_does.critique) == "No"
    assert none_does.critique.count("missed") == 1 and "capital letter" in none_does.critique
    alone, _ = judged(HALF, 5, "decide")
    assert read_vote(alone.critique) == "No"
    reported, _ = judged(HALF, 5, "report")
    assert read_vote(reported.critique) == "Yes", "the paper's behaviour"


def test_nodes_rank_by_outcome_then_by_checks_then_by_votes() -> None:
    def node(order: int, yes: int, **word: Any) -> TreeNode:
        ballots = [Ballot("Yes" if i < yes else "No", "") for i in range(5)]
        return TreeNode((order,), order, "", "", replace(count(ballots, 3), **word))

    nodes = [
        node(0, 5, outcome="no", checks_met=0.0),
        node(1, 1, outcome="no", checks_met=0.5),
        node(2, 2, outcome="no", checks_met=0.5),
        node(3, 3, checks_met=1.0),
    ]
    assert [each.order for each in ranked(nodes)] == [3, 2, 1, 0]


ONE_WORD = {"always yes": "Final Judgement: Yes", "always no": "Final Judgement: No"}


def round_of(verdict: str, checks: Checks) -> Made:
    """Eight prompts with right and wrong answers, a refiner that mends every other one."""
    tables: Tables = {"prompts": []}
    for number in range(8):
        name = f"p{number}"
        tables["prompts"].append(
            {"prompt_id": name, "prompt": f"do {number}", "checks": BOTH, "checks_complete": True}
        )
        for k, text in enumerate((MET, HALF, MISSED)[: 1 + number % 3]):
            respond(tables, f"{name}.r{k}", name, f"{text} {number}{k}")
    mended = iter(range(10_000))

    def refined(request: ChatRequest) -> list[str]:
        return [
            f"[[start]] {MET if n % 2 else HALF} so {n} [[end]]"
            for _, n in zip(range(request.n), mended, strict=False)
        ]

    stages = (JUDGE, TREE_SEARCH, PAIRS, RFT, INDEPENDENT, SELF)
    return run_stages(stages, tables, {"judge": verdict, "refiner": refined}, checks=checks)


@pytest.mark.parametrize("verdict", ONE_WORD.values(), ids=ONE_WORD)
@pytest.mark.parametrize("checks", ["veto", "decide"])
def test_a_judge_of_one_word_makes_no_false_pair(verdict: str, checks: Checks) -> None:
    made = round_of(verdict, checks)
    for pair in made["pairs"]:
        assert (pair.chosen_checked, pair.rejected_checked) == (True, False)
    assert all(row.checked for row in made["sft_actor"])
    if "Yes" in verdict or checks == "decide":
        assert {pair.method for pair in made["pairs"]} == {"spar", "independent"}
        assert made["sft_actor"]
    else:
        assert not made["pairs"], "nothing passes"
    asked = made.engines["judge"].requests
    assert bool(asked) == (checks == "veto")


@pytest.mark.parametrize("verdict", ONE_WORD.values(), ids=ONE_WORD)
@pytest.mark.parametrize("checks", ["veto", "decide"])
def test_the_refiner_learns_no_judgement_that_the_program_denies(
    verdict: str, checks: Checks
) -> None:
    made = round_of(verdict, checks)
    told = {row.response_id: row.checked for row in made["judgements"]}
    told |= {row.node_id: row.checked for row in made["nodes"]}
    judgements = [row for row in made["rft"] if row.task == "judge"]
    for row in judgements:
        assert told[row.node_id or row.response_id] is (row.label == "Yes")
    assert bool(judgements) == (checks == "decide"), "votes of one word are never split"


def test_a_judge_that_always_says_yes_makes_false_pairs_under_report() -> None:
    """What the others are for: the same round with the program's word left out."""
    made = round_of("Final Judgement: Yes", "report")
    assert all(row.checked is not None for row in made["judgements"])
    assert {row.outcome for row in made["judgements"]} == {"yes"}
    assert any(not row.checked for row in made["sft_actor"])


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        ("fresh bread daily", None),
        ("Fresh bread daily", False),
        ("das ist ein langer satz auf deutsch, " * 4, False),
        (MET, True),
    ],
)
def test_the_language_of_a_few_words_decides_nothing(text: str, checked: bool | None) -> None:
    """The checkers of letter case ask for English, too; langdetect takes three words for Dutch."""
    found, engine = judged(text, 4, "decide", asked=[LOWERCASE])
    assert found.checked is checked
    assert found.settled == ("no" if checked is False else "yes")
    assert bool(engine.requests) == (checked is None), "then the judge is asked"
