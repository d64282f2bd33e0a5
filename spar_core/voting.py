"""Votes of a judge, and the verdict that follows from them (paper, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spar_core.engine.protocol import ChatRequest, Engine, Sampling
from spar_core.prompts import Vote, judge_grammar, judge_messages, read_vote

Verdict = Literal["yes", "no", "tie", "no_quorum"]


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
    """

    sampling: Sampling
    votes: int = 5
    quorum: int = 3
    constrained: bool = False


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


async def judge(
    engine: Engine, prompt: str, response: str, settings: JudgeSettings, seed: int
) -> Judged:
    """Ask for all votes in one request and count them."""
    limit = settings.sampling.max_tokens
    answer = await engine.chat(
        ChatRequest(
            messages=tuple(judge_messages(prompt, response)),
            sampling=settings.sampling,
            n=settings.votes,
            seed=seed,
            grammar=judge_grammar(limit) if settings.constrained else None,
        )
    )
    ballots = [Ballot(read_vote(c.text), c.text, c.finish_reason) for c in answer.choices]
    judged = count(ballots, settings.quorum)
    return Judged(
        judged.ballots,
        judged.verdict,
        judged.value,
        judged.critique,
        answer.prompt_tokens,
        answer.completion_tokens,
    )
