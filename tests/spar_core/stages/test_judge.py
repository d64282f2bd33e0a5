"""Judge: votes on each response, and the verdict of their majority."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from spar_core.checks.library import NoChecker, checkers
from spar_core.engine.protocol import ChatRequest
from spar_core.stages.judge import JUDGE
from spar_core.testing import run_stage
from terminal.exits import UsageError
from tests.spar_core.rows import NO_COMMA, Tables, prompts, respond


@pytest.fixture
def tables() -> Tables:
    return prompts()


def vote(request: ChatRequest) -> list[str]:
    """As many Yes as the response says, else nothing that can be read."""
    output = request.messages[0]["content"].partition('Output: "')[2]
    yes = next((number for number in range(6) if f"yes{number}" in output), None)
    if yes is None:
        return ["I cannot say."] * request.n
    return [f"{i}.\nFinal Judgement: {'Yes' if i < yes else 'No'}" for i in range(request.n)]


def test_the_majority_of_five_votes_decides(tables: Tables) -> None:
    for name, text in (("a", "yes5"), ("b", "yes3"), ("c", "yes2"), ("d", "who knows")):
        respond(tables, name, text=text)
    respond(tables, "other", "elsewhere", "yes5")
    made = run_stage(JUDGE, tables, {"judge": vote})
    found = [
        (row.response_id, row.verdict, row.value, row.yes_votes, row.no_votes, row.unparsed_votes)
        for row in made["judgements"]
    ]
    assert found == [
        ("a", "yes", 1.0, 5, 0, 0),
        ("b", "yes", 0.6, 3, 2, 0),
        ("c", "no", 0.4, 2, 3, 0),
        ("d", "no_quorum", None, 0, 0, 15),
    ]
    by_name = {row.response_id: row for row in made["judgements"]}
    assert by_name["b"].critique == "0.\nFinal Judgement: Yes", "one that agrees"
    assert by_name["c"].critique == "2.\nFinal Judgement: No"
    assert [ballot.vote for ballot in by_name["b"].votes] == ["Yes", "Yes", "Yes", "No", "No"]
    assert {(row.prompt_id, row.model) for row in made["judgements"]} == {("p", "judge")}
    assert by_name["d"].asked_again == 10 and by_name["c"].asked_again == 0
    for request in made.engines["judge"].requests:
        assert (request.n, request.sampling.temperature, request.grammar) == (5, 0.7, None)


def test_the_program_has_its_say_beside_the_judge(tables: Tables) -> None:
    tables["prompts"][0]["checks"] = [NO_COMMA]
    for name, text in (("a", "yes5 plain"), ("b", "yes5, comma"), ("c", "yes0 plain")):
        respond(tables, name, text=text)
    respond(tables, "d", text="yes0, comma")
    respond(tables, "unchecked", "q", "yes5, comma")
    made = run_stage(JUDGE, tables, vote)
    found = [(row.response_id, row.verdict, row.checked) for row in made["judgements"]]
    assert found == [
        ("a", "yes", True),
        ("b", "yes", False),
        ("c", "no", True),
        ("d", "no", False),
        ("unchecked", "yes", None),
    ]


def test_by_default_the_program_has_a_veto_and_complete_checks_can_decide(tables: Tables) -> None:
    tables["prompts"][0] |= {"checks": [NO_COMMA], "checks_complete": True}
    for name, text in (("a", "yes5 plain"), ("b", "yes5, comma"), ("c", "yes0 plain")):
        respond(tables, name, text=text)
    respond(tables, "d", text="yes0, comma")
    respond(tables, "unchecked", "q", "yes5")
    made = run_stage(JUDGE, tables, vote)
    assert [(row.verdict, row.checked, row.outcome) for row in made["judgements"]] == [
        ("yes", True, "yes"),
        ("yes", False, "no"),
        ("no", True, "disputed"),
        ("no", False, "no"),
        ("yes", None, "yes"),
    ]
    made = run_stage(JUDGE, tables, {"judge": vote}, checks="decide")
    assert [(row.model, row.verdict, row.outcome, row.value) for row in made["judgements"]] == [
        ("program", "yes", "yes", 1.0),
        ("program", "no", "no", 0.0),
        ("program", "yes", "yes", 1.0),
        ("program", "no", "no", 0.0),
        ("judge", "yes", "yes", 1.0),
    ]
    [asked] = made.engines["judge"].requests
    assert "do q" in asked.messages[0]["content"], "no judge is asked of the others"


@pytest.mark.parametrize("once", [False, True])
def test_equal_responses_to_a_prompt_are_judged_once_if_told(tables: Tables, once: bool) -> None:
    tables["prompts"][0]["checks"] = [NO_COMMA]
    for name, text in (("a", "yes5, so"), ("b", "yes0"), ("c", "yes5, so"), ("d", "yes0 ")):
        respond(tables, name, text=text)
    respond(tables, "e", "q", "yes0")
    made = run_stage(JUDGE, tables, vote, judge_once=once)
    found = [(row.response_id, row.prompt_id, row.verdict, row.checked) for row in
             made["judgements"]]  # fmt: skip
    assert sorted(found) == [
        ("a", "p", "yes", False),
        ("b", "p", "no", True),
        ("c", "p", "yes", False),
        ("d", "p", "no", True),
        ("e", "q", "no", None),
    ]
    asked = made.engines["judge"].requests
    assert len(asked) == (4 if once else 5), "texts that differ at all are judged each"
    spent = sum(len(text) // 4 for request in asked for text in vote(request))
    assert sum(row.completion_tokens for row in made["judgements"]) == spent


@pytest.fixture
def _no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "langdetect", None)
    checkers.cache_clear()
    yield
    checkers.cache_clear()


def test_where_the_library_of_checks_is_missing_nothing_is_spent_on_what_needs_it(
    tables: Tables, _no_library: None
) -> None:
    tables["prompts"][0]["checks"] = [NO_COMMA]
    for name in ("a", "b"):
        respond(tables, name, text="yes5")
    respond(tables, "c", "q", "yes5")
    made = run_stage(JUDGE, tables, vote)
    assert [(row.stage, row.key, row.error) for row in made["failures"]] == [
        ("judge", "a", "no_checker"),
        ("judge", "b", "no_checker"),
    ]
    assert [(row.response_id, row.checked) for row in made["judgements"]] == [("c", None)]
    assert len(made.engines["judge"].requests) == 1
    assert NoChecker.retry, "it is done once the library is there"


def test_votes_stop_once_the_majority_is_certain_if_told(tables: Tables) -> None:
    respond(tables, "a", text="yes5")
    made = run_stage(JUDGE, tables, vote, stop_votes=True)
    [row] = made["judgements"]
    assert (row.verdict, row.value, row.yes_votes) == ("yes", 1.0, 3)
    assert sum(request.n for request in made.engines["judge"].requests) == 3


def test_a_quorum_of_its_own(tables: Tables) -> None:
    respond(tables, "a", text="yes1")

    def mumble(request: ChatRequest) -> list[str]:
        return [*vote(request)[:2], "I cannot say."][: request.n]

    options = {"votes": 3, "ask_again": 0}
    assert run_stage(JUDGE, tables, mumble, **options)["judgements"][0].verdict == "tie"
    [row] = run_stage(JUDGE, tables, mumble, quorum=3, **options)["judgements"]
    assert (row.verdict, row.unparsed_votes) == ("no_quorum", 1)


def test_a_tie_or_too_few_readable_votes_are_asked_about_again_and_no_more(tables: Tables) -> None:
    respond(tables, "a", text="anything")
    said = ["Yes", "No", "what?", "Yes", "No", "well", "what?", "Yes", "never asked for"]
    answers = [f"Final Judgement: {word}" for word in said]
    made = run_stage(JUDGE, tables, answers)
    [row] = made["judgements"]
    assert [vote.vote for vote in row.votes] == ["Yes", "No", None, "Yes", "No", None, None]
    assert (row.verdict, row.unparsed_votes, row.asked_again) == ("tie", 3, 2)
    assert [request.n for request in made.engines["judge"].requests] == [5, 1, 1]
    assert len({request.seed for request in made.engines["judge"].requests}) == 3
    [row] = run_stage(JUDGE, tables, answers, ask_again=3)["judgements"]
    assert (row.verdict, row.value, row.asked_again) == ("yes", 0.6, 3)
    [row] = run_stage(JUDGE, tables, answers, votes=4, ask_again=5)["judgements"]
    assert (row.verdict, row.asked_again) == ("yes", 0), "what gave a verdict is left"


def test_cut_off_and_empty_responses_are_not_judged(tables: Tables) -> None:
    for name, text, why in (
        ("a", "yes5", "stop"),
        ("b", "yes5", "length"),
        ("c", "yes5", "content_filter"),
        ("d", " ", "stop"),
        ("e", "yes5", None),
    ):
        respond(tables, name, text=text)
        tables["responses"][-1]["finish_reason"] = why
    made = run_stage(JUDGE, tables, vote)
    assert [row.response_id for row in made["judgements"]] == ["a", "e"]


def test_constrained_it_has_a_grammar(tables: Tables) -> None:
    respond(tables, "a", text="yes5")
    made = run_stage(JUDGE, tables, vote, constrained="on")
    assert all(request.grammar for request in made.engines["judge"].requests)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"votes": 3, "quorum": 4}, "--quorum 4 is more than --votes 3"),
        ({"votes": 0}, "--votes"),
        ({"judge_temperature": 3}, "--judge_temperature"),
    ],
)
def test_values_that_do_not_go_together_are_refused(
    tables: Tables, options: dict[str, int], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        run_stage(JUDGE, tables, vote, **options)
