"""`judgements`: a row is a sampled response with the refiner's verdict on it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.table import MAIN, OUTCOME, VARIANT, VOTES, Table


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """One vote; `vote` is None where the text held no judgement.

    reasoning: what the judge thought before the text; None for nothing.
    """

    vote: str | None
    text: str
    finish_reason: str
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict by majority.

    verdict: `yes`, `no`, `tie`, or `no_quorum` where too few votes could be read.
    value: share of Yes among the votes that could be read, 0 to 1; None without any. Where the
        checks alone decide (`--checks decide`; `model` is `program`, there are no votes) 1 or 0.
    critique: the text of a vote that agrees with the outcome, or the program's where none does.
    checked: whether the response passes the prompt's checks; None without any, or where one could
        not be run.
    checks_met: share of the checks that the response meets; None without any, and under
        `--checks report`.
    outcome: what counts: the verdict, unless the program's checks say something else. `no` where
        they deny the response; `disputed`, neither passed nor failed, where checks that are
        complete let it pass and the judge does not.
    asked_again: so many of the votes were asked for because those before gave no verdict.
    """

    response_id: str
    prompt_id: str
    verdict: str
    value: float | None
    yes_votes: int
    no_votes: int
    unparsed_votes: int
    critique: str
    votes: list[VoteRecord]
    model: str
    prompt_tokens: int
    completion_tokens: int
    checked: bool | None = None
    variant: str = MAIN
    checks_met: float | None = None
    outcome: str = ""
    asked_again: int = 0


JUDGEMENTS = Table(
    "judgements",
    Judgement,
    {
        "response_id": "string",
        "prompt_id": "string",
        "verdict": "string",
        "value": "double",
        "yes_votes": "int32",
        "no_votes": "int32",
        "unparsed_votes": "int32",
        "critique": "string",
        "votes": VOTES,
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "checked": "bool",
        "variant": "string",
        "checks_met": "double",
        "outcome": "string",
        "asked_again": "int32",
    },
    reads=VARIANT | OUTCOME,
)
