"""The round of one prompt, as a script would write it: sample, judge, breadth-first refinement.

It asks what `pipelines.refine` asks with its defaults, seeds included, so that a server that
answers by chat and seed gives every client the same sequences. `peers` runs it under an asyncio
script and under datatrove's runner. It needs no package outside the standard library.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spar_core.conversation import (
    actor_messages,
    judge_messages,
    read_refinement,
    read_vote,
    refine_messages,
)
from spar_core.engine.protocol import Message, Sampling, seed_of
from spar_core.voting import Ballot, Judged, JudgeSettings, count, votes_to_ask_again

Ask = Callable[[Sequence[Message], dict[str, Any], int, int], Awaitable[list[str]]]
"""Takes a chat, how its answers are drawn, their number and their seed; returns their texts."""

ACTOR = {"temperature": 0.9, "top_p": 0.9, "max_tokens": 2048}
JUDGE = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 2048}
REFINER = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 3072}
RESPONSES, VOTES, QUORUM = 5, 5, 3
SETTINGS = JudgeSettings(Sampling(0.7, 1.0, 2048), VOTES, QUORUM, ask_again=2)
BRANCH, KEEP, DEPTH, BUDGET, ATTEMPTS = 3, 2, 3, 15, 3

_RUN = (0, 1)
"""The seed and the iteration of a run."""


@dataclass(frozen=True, slots=True)
class Node:
    """A judged response and the child numbers that lead to it."""

    path: tuple[int, ...]
    response: str
    judged: Judged


async def refine_prompt(prompt: str, ask: Ask) -> dict[str, Any]:
    """Return the row of a prompt: its responses, their verdicts and the refinements of one."""
    name = "p" + hashlib.sha256(prompt.encode()).hexdigest()[:16]
    seed = seed_of(*_RUN, "sample", name)
    answers = await ask(actor_messages(prompt), ACTOR, RESPONSES, seed)
    responses = [answer.strip() for answer in answers]
    ids = [f"i1.{name}.r{number}" for number in range(len(responses))]
    judged = await asyncio.gather(
        *(
            _judge(prompt, response, seed_of(*_RUN, "judge", each), ask)
            for each, response in zip(ids, responses, strict=True)
        )
    )
    drawn = [hashlib.md5(f"{each}:0".encode()).hexdigest() for each in ids]
    failing = [i for i, judgement in enumerate(judged) if judgement.verdict == "no"]
    refinements: list[Node] = []
    if failing:
        root = min(failing, key=drawn.__getitem__)
        start = Node((), responses[root], judged[root])
        refinements = await _search(prompt, start, seed_of(*_RUN, "tree_search", name), ask)
    return {
        "prompt": prompt,
        "responses": responses,
        "verdicts": [judgement.verdict for judgement in judged],
        "refinements": [node.response for node in refinements],
        "passed": [node.judged.passed for node in refinements],
    }


async def _search(prompt: str, root: Node, seed: int, ask: Ask) -> list[Node]:
    """Refine level by level until a refinement passes, or the budget is spent."""
    made: list[Node] = []
    known: dict[str, asyncio.Future[Judged]] = {}
    level = [root]
    for _ in range(DEPTH):
        parents = sorted(level, key=lambda node: -(node.judged.value or 0.0))[:KEEP]
        shares, left = [], BUDGET - len(made)
        for _ in parents:
            shares.append(min(BRANCH, left))
            left -= shares[-1]
        grown = await asyncio.gather(
            *(
                _children(prompt, parent, share, seed, ask, known)
                for parent, share in zip(parents, shares, strict=True)
            )
        )
        level = [child for children in grown for child in children]
        made += level
        if not level or any(node.judged.passed for node in level):
            break
    return made


async def _children(
    prompt: str,
    parent: Node,
    share: int,
    seed: int,
    ask: Ask,
    known: dict[str, asyncio.Future[Judged]],
) -> list[Node]:
    """Ask for refinements until `share` of them are readable, and judge them."""
    messages = refine_messages(prompt, parent.response, parent.judged.critique)
    texts: list[str] = []
    for attempt in range(ATTEMPTS):
        if len(texts) == share:
            break
        drawn = seed_of(seed, "refine", parent.path, attempt)
        answers = await ask(messages, REFINER, share - len(texts), drawn)
        texts += [read.response for read in map(read_refinement, answers) if read]
    judged = await asyncio.gather(*(_judged_once(prompt, text, seed, ask, known) for text in texts))
    return [
        Node((*parent.path, number), text, judgement)
        for number, (text, judgement) in enumerate(zip(texts, judged, strict=True))
    ]


async def _judged_once(
    prompt: str, text: str, seed: int, ask: Ask, known: dict[str, asyncio.Future[Judged]]
) -> Judged:
    """The judgement of a refinement; equal ones of a tree share it."""
    if text not in known:
        drawn = seed_of(seed, "judge", text)
        known[text] = asyncio.ensure_future(_judge(prompt, text, drawn, ask))
    return await known[text]


async def _judge(prompt: str, response: str, seed: int, ask: Ask) -> Judged:
    """The verdict of the votes; where these give none more are asked for, twice at most."""
    ballots: list[Ballot] = []
    wanted = VOTES
    for _ in range(1 + SETTINGS.ask_again):
        texts = await ask(judge_messages(prompt, response), JUDGE, wanted, seed + len(ballots))
        ballots += [Ballot(read_vote(text), text) for text in texts]
        wanted = votes_to_ask_again(ballots, SETTINGS)
        if not wanted:
            break
    return count(ballots, QUORUM)
