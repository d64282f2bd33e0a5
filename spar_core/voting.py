"""Votes of a judge, and the verdict that follows from them (paper, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from spar_core.chat import TextOrChat
from spar_core.conversation import Vote, judge_grammar, judge_messages, read_vote
from spar_core.engine.protocol import ChatRequest, Engine, Sampling

Verdict = Literal["yes", "no", "tie", "no_quorum", "unjudged"]
Outcome = Verdict | Literal["disputed"]

Checks = Literal["report", "veto", "decide"]
"""What a program's checks do beside the judge.

report: nothing but stand in the tables. veto: a response passes only where the program lets it.
decide: as veto, and where the checks are all that a prompt asks for, no judge is asked.
"""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One vote with its text; `vote` is None where the text held none.

    reasoning: what the judge thought before the text; "" for nothing.
    """

    vote: Vote | None
    text: str
    finish_reason: str = "stop"
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the votes say of a response, and what they cost.

    verdict: of the votes. value: share of Yes among the votes that could be read; None without any.
    outcome: whether the response passes or fails, where the program's checks have a say in it
        (`spar_core.checked_judging`); None where it is the verdict.
    checked: whether the response passes the prompt's checks; None without any, or where one that
        would decide could not be run. checks_met: share of the checks that it meets, where they
        count; None where they do not.
    by_program: whether the checks alone gave the verdict: then there are no votes.
    asked_again: so many of the votes were asked for because those before gave no verdict.
    """

    ballots: tuple[Ballot, ...]
    verdict: Verdict
    value: float | None
    critique: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    outcome: Outcome | None = None
    checked: bool | None = None
    checks_met: float | None = None
    by_program: bool = False
    asked_again: int = 0

    @property
    def settled(self) -> Outcome:
        """The outcome: the verdict, unless the program's checks say something else."""
        return self.outcome or self.verdict

    @property
    def critique_reasoning(self) -> str:
        """What the judge thought before it wrote the critique; "" where nothing is known."""
        return next((b.reasoning for b in self.ballots if b.text == self.critique), "")

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
        """Whether more than half of the votes that count are Yes, and no check denies it."""
        return self.settled == "yes"


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How responses are judged.

    quorum: so many votes must be readable for a verdict.
    constrained: whether a grammar holds votes to the wire format.
    stop_votes: whether to stop once the votes left cannot change the verdict.
    checks: what the checks of a prompt do beside the votes.
    ask_again: how often at most more votes are asked for where there is no verdict.
    """

    sampling: Sampling
    votes: int = 5
    quorum: int = 3
    constrained: bool = False
    stop_votes: bool = False
    checks: Checks = "report"
    ask_again: int = 0


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
        (b.text for vote in preferred for b in ballots if b.vote == vote and b.text), ""
    )
    value = yes / (yes + no) if yes + no else None
    return Judged(tuple(ballots), verdict, value, critique)


UNJUDGED = Judged((), "unjudged", None, "")
"""Of a response that no vote was asked on, or on which none could be."""


async def judge(
    engine: Engine, prompt: TextOrChat, response: str, settings: JudgeSettings, seed: int
) -> Judged:
    """Ask for all votes in one request and count them.

    With `settings.stop_votes` ask in several: each time for the fewest votes that can make the
    majority certain. The verdict is the one that all votes would have given. Where there is none
    then, for a tie or for votes that cannot be read, ask again, `settings.ask_again` times at most.
    """
    ballots: list[Ballot] = []
    prompt_tokens = completion_tokens = rounds = more = 0
    while True:
        asked = votes_to_ask(ballots, settings)
        if not asked and rounds < settings.ask_again:
            asked = votes_to_ask_again(ballots, settings)
            rounds, more = rounds + 1, more + asked
        if not asked:
            break
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
        ballots += [
            Ballot(read_vote(c.text), c.text, c.finish_reason, c.reasoning) for c in answer.choices
        ]
        prompt_tokens += answer.prompt_tokens
        completion_tokens += answer.completion_tokens
    return replace(
        count(ballots, settings.quorum),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        asked_again=more,
    )


def votes_to_ask(ballots: Sequence[Ballot], settings: JudgeSettings) -> int:
    """How many votes to ask for next; 0 when the verdict stands."""
    left = max(0, settings.votes - len(ballots))
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


def votes_to_ask_again(ballots: Sequence[Ballot], settings: JudgeSettings) -> int:
    """How many more votes to ask for once all were cast; 0 where they gave a verdict.

    As many as could not be read, and one more of a tie.
    """
    cast = count(ballots, settings.quorum)
    if cast.verdict in ("yes", "no"):
        return 0
    return max(1, settings.votes - cast.yes_votes - cast.no_votes)
