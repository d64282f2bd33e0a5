"""Votes of a judge, and the verdict that follows from them (paper, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from spar_core.conversation import Vote, judge_grammar, judge_messages, read_vote
from spar_core.engine.protocol import ChatRequest, Engine, Sampling

Verdict = Literal["yes", "no", "tie", "no_quorum", "unjudged"]


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote with its text; `vote` is None where the text held none."""

    vote: Vote | None
    text: str
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the votes say of a response, and what they cost.

    value: share of Yes among the votes that could be read; None without any.
    """

    ballots: tuple[Ballot, ...]
    verdict: Verdict
    value: float | None
    critique: str
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def yes_votes(self) -> int:
        return sum(ballot.vote == "Yes" for ballot in self.ballots)

    @property
    def no_votes(self) -> int:
        return sum(ballot.vote == "No" for ballot in self.ballots)

    @property
    def unparsed_votes(self) -> int:
        return sum(ballot.vote is None for ballot in self.ballots)

    @property
    def passed(self) -> bool:
        """Whether more than half of the votes that count are Yes."""
        return self.verdict == "yes"


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How responses are judged.

    quorum: so many votes must be readable for a verdict.
    constrained: whether a grammar holds votes to the wire format.
    stop_votes: whether to stop once the votes left cannot change the verdict.
    """

    sampling: Sampling
    votes: int = 5
    quorum: int = 3
    constrained: bool = False
    stop_votes: bool = False


def count(ballots: Sequence[Ballot], quorum: int) -> Judged:
    """The verdict of the majority, with the critique of a vote that agrees with it.

    Where the verdict is no majority's, the critique is one that says No if there is one: whoever
    refines the response learns more from it.
    """
    yes = sum(ballot.vote == "Yes" for ballot in ballots)
    no = sum(ballot.vote == "No" for ballot in ballots)
    verdict: Verdict
    if yes + no < max(1, quorum):
        verdict = "no_quorum"
    elif yes == no:
        verdict = "tie"
    else:
        verdict = "yes" if yes > no else "no"
    preferred = ("Yes", "No", None) if verdict == "yes" else ("No", "Yes", None)
    critique = next(
        (ballot.text for vote in preferred for ballot in ballots if ballot.vote == vote), ""
    )
    value = yes / (yes + no) if yes + no else None
    return Judged(tuple(ballots), verdict, value, critique)


UNJUDGED = Judged((), "unjudged", None, "")
"""Of a response that no vote was asked on, or on which none could be."""


async def judge(
    engine: Engine, prompt: str, response: str, settings: JudgeSettings, seed: int
) -> Judged:
    """Ask for all votes in one request and count them.

    With `settings.stop_votes` ask in several: each time for the fewest votes that can make the
    majority certain. The verdict is the one that all votes would have given.
    """
    ballots: list[Ballot] = []
    prompt_tokens = completion_tokens = 0
    while asked := votes_to_ask(ballots, settings):
        answer = await engine.chat(
            ChatRequest(
                messages=tuple(judge_messages(prompt, response)),
                sampling=settings.sampling,
                n=asked,
                seed=seed + len(ballots),
                grammar=judge_grammar(settings.sampling.max_tokens)
                if settings.constrained
                else None,
            )
        )
        ballots += [Ballot(read_vote(c.text), c.text, c.finish_reason) for c in answer.choices]
        prompt_tokens += answer.prompt_tokens
        completion_tokens += answer.completion_tokens
    return replace(
        count(ballots, settings.quorum),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def votes_to_ask(ballots: Sequence[Ballot], settings: JudgeSettings) -> int:
    """How many votes to ask for next; 0 when the verdict stands."""
    left = settings.votes - len(ballots)
    if not settings.stop_votes or not left:
        return left
    yes = sum(ballot.vote == "Yes" for ballot in ballots)
    no = sum(ballot.vote == "No" for ballot in ballots)
    if yes + no + left < settings.quorum:
        return 0
    lead = abs(yes - no)
    if lead > left and yes + no >= settings.quorum:
        return 0
    decisive = (left - lead) // 2 + 1
    return min(left, max(1, decisive, settings.quorum - yes - no))
