"""Votes and the verdict that follows from them."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.conversation import judge_grammar, judge_messages
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import Ballot, Judged, JudgeSettings, count, judge

seeded = settings(derandomize=True, deadline=None)
SAMPLING = Sampling(0.7, 1.0, 2048)
VOTES = {"y": "Yes", "n": "No", "-": None}


def ballots(votes: str) -> list[Ballot]:
    return [Ballot(VOTES[vote], f"{vote}{i}") for i, vote in enumerate(votes)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("votes", "verdict", "value", "critique"),
    [
        ("yyyyy", "yes", 1.0, "y0"),
        ("nyyny", "yes", 0.6, "y1"),
        ("ynnyn", "no", 0.4, "n1"),
        ("nnnnn", "no", 0.0, "n0"),
        ("yy-nn", "tie", 0.5, "n3"),
        ("-y-yn", "yes", 2 / 3, "y1"),
        ("--ynn", "no", 1 / 3, "n3"),
        ("yy---", "no_quorum", 1.0, "y0"),
        ("-yn--", "no_quorum", 0.5, "n2"),
        ("--y--", "no_quorum", 1.0, "y2"),
        ("-----", "no_quorum", None, "-0"),
        ("", "no_quorum", None, ""),
    ],
)
def test_majority_decides(votes: str, verdict: str, value: float | None, critique: str) -> None:
    judged = count(ballots(votes), quorum=3)
    assert judged.verdict == verdict
    assert judged.value == (None if value is None else pytest.approx(value))
    assert judged.critique == critique
    assert judged.passed == (verdict == "yes")


@pytest.mark.parametrize(("quorum", "verdict"), [(0, "yes"), (1, "yes"), (2, "no_quorum")])
def test_quorum_counts_readable_votes(quorum: int, verdict: str) -> None:
    assert count(ballots("-y-"), quorum).verdict == verdict


@pytest.mark.parametrize("votes", ["", "---"])
def test_no_vote_is_no_verdict_even_with_quorum_0(votes: str) -> None:
    assert count(ballots(votes), 0).verdict == "no_quorum"


@seeded
@given(votes=st.text("yn-", max_size=9), quorum=st.integers(0, 6), seed=st.integers(0, 99))
def test_verdict_follows_from_the_counts_alone(votes: str, quorum: int, seed: int) -> None:
    judged = count(ballots(votes), quorum)
    yes, no = votes.count("y"), votes.count("n")
    assert (judged.yes_votes, judged.no_votes, judged.unparsed_votes) == (
        yes,
        no,
        len(votes) - yes - no,
    )
    mixed = random.Random(seed).sample(ballots(votes), len(votes))
    again = count(mixed, quorum)
    assert (again.verdict, again.value) == (judged.verdict, judged.value)
    assert (judged.value is None) == (yes + no == 0)
    if judged.verdict != "no_quorum":
        assert judged.value is not None
        assert judged.passed == (judged.value > 0.5)
    if judged.verdict in ("yes", "no"):
        assert {"y": "yes", "n": "no"}[judged.critique[0]] == judged.verdict
        assert {"y": "yes", "n": "no"}[again.critique[0]] == judged.verdict


def ask(constrained: bool) -> tuple[Judged, list[ChatRequest]]:
    texts = ["Final Judgement: No", "what?", "Final Judgement: Yes", "Final Judgement: No", ""]
    engine = ScriptedEngine(lambda request: texts[: request.n])
    asked = JudgeSettings(SAMPLING, constrained=constrained)
    return asyncio.run(judge(engine, "p", "r", asked, seed=7)), engine.requests


def test_all_votes_are_asked_for_in_one_request() -> None:
    judged, requests = ask(constrained=False)
    assert requests == [ChatRequest(tuple(judge_messages("p", "r")), SAMPLING, n=5, seed=7)]
    assert [b.vote for b in judged.ballots] == ["No", None, "Yes", "No", None]
    assert [b.text for b in judged.ballots][1] == "what?"
    assert judged.verdict == "no" and judged.value == pytest.approx(1 / 3)


def test_judgement_bears_the_tokens_of_its_request() -> None:
    judged, requests = ask(constrained=False)
    assert judged.prompt_tokens == len(requests[0].messages[0]["content"]) // 4
    assert judged.completion_tokens == sum(max(1, len(b.text) // 4) for b in judged.ballots)


def test_grammar_is_sent_only_when_constrained() -> None:
    assert [request.grammar for request in ask(constrained=True)[1]] == [judge_grammar(2048)]
    assert [request.grammar for request in ask(constrained=False)[1]] == [None]


def stop(
    votes: str, quorum: int = 3, *, constrained: bool = False, seed: int = 7
) -> tuple[Judged, list[ChatRequest]]:
    """Votes asked for until the majority is certain; stream `seed + i` gives vote i."""

    def script(request: ChatRequest) -> list[str]:
        first = request.seed - seed
        return [ballot.text for ballot in cast[first : first + request.n]]

    cast = [Ballot(b.vote, f"{b.text} Final Judgement: {b.vote}") for b in ballots(votes)]
    engine = ScriptedEngine(script)
    asked = JudgeSettings(SAMPLING, len(votes), quorum, constrained, stop_votes=True)
    return asyncio.run(judge(engine, "p", "r", asked, seed)), engine.requests


def sequences(length: int) -> list[str]:
    return ["".join(votes) for votes in itertools.product("yn-", repeat=length)]


@pytest.mark.parametrize(
    ("length", "quorum"), [(5, 0), (5, 1), (5, 2), (5, 3), (5, 4), (5, 5), (4, 3), (2, 2), (1, 1)]
)
def test_stopped_votes_give_the_verdict_of_all(length: int, quorum: int) -> None:
    for votes in sequences(length):
        judged, requests = stop(votes, quorum)
        whole = count(ballots(votes), quorum)
        assert judged.verdict == whole.verdict, votes
        assert judged.passed == whole.passed
        if judged.verdict in ("yes", "no"):
            assert judged.value is not None and (judged.value > 0.5) == judged.passed
            assert judged.critique.endswith(judged.verdict.capitalize())

        asked = sum(request.n for request in requests)
        assert 1 <= asked <= length and len(judged.ballots) == asked
        assert [ballot.vote for ballot in judged.ballots] == [VOTES[vote] for vote in votes[:asked]]
        streams = [r.seed + i for r in requests for i in range(r.n)]
        assert streams == list(range(7, 7 + asked)), "no stream is drawn twice, none left out"


@pytest.mark.parametrize(
    ("votes", "asked"),
    [
        ("yyyyy", [3]),
        ("nnnyy", [3]),
        ("ynyyy", [3, 1]),
        ("ynnyn", [3, 1, 1]),
        ("yy-yn", [3, 1]),
        ("y--yy", [3, 2]),
        ("--yyy", [3, 2]),
        ("yyn", [2]),
        ("yny", [2, 1]),
        ("y", [1]),
    ],
)
def test_fewest_votes_that_can_decide_are_asked_for_each_time(votes: str, asked: list[int]) -> None:
    _, requests = stop(votes, quorum=len(votes) // 2 + 1)
    assert [request.n for request in requests] == asked


def certain(votes: str, left: int, quorum: int) -> bool:
    """Whether every way the votes left can fall gives the same verdict."""
    return len({count(ballots(votes + more), quorum).verdict for more in sequences(left)}) == 1


@pytest.mark.parametrize("quorum", [1, 3, 5])
def test_no_vote_is_asked_once_the_majority_is_certain(quorum: int) -> None:
    for votes in sequences(5):
        _, requests = stop(votes, quorum)
        for known in itertools.accumulate((r.n for r in requests[:-1]), initial=0):
            verdict = count(ballots(votes[:known]), quorum).verdict
            assert verdict == "no_quorum" or not certain(votes[:known], 5 - known, quorum)


def test_no_vote_is_asked_once_the_quorum_is_out_of_reach() -> None:
    assert [request.n for request in stop("-----", quorum=3)[1]] == [3]


def test_stopped_votes_sum_their_requests_tokens() -> None:
    judged, requests = stop("ynnyn")
    assert len(requests) == 3
    assert judged.prompt_tokens == 3 * (len(requests[0].messages[0]["content"]) // 4)
    assert judged.completion_tokens == sum(max(1, len(b.text) // 4) for b in judged.ballots)


@pytest.mark.parametrize("constrained", [False, True])
def test_requests_for_more_votes_differ_in_number_and_seed_alone(constrained: bool) -> None:
    _, requests = stop("ynnyn", constrained=constrained)
    alike = [replace(request, n=1, seed=0) for request in requests]
    assert len(requests) == 3 and alike == alike[:1] * 3
    assert {request.grammar for request in requests} == {
        judge_grammar(2048) if constrained else None
    }
