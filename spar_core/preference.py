"""From finished trees to training data: preference pairs and samples for the refiner.

Pairs: paper, section 2.3.3. RFT samples and their caps: its appendix and published code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from schemas.pairs import Message, Pair
from schemas.rft import RftSample
from spar_core.chat import TextOrChat, messages_of, prompt_of, with_earlier
from spar_core.conversation import (
    Refinement,
    actor_messages,
    judge_messages,
    refine_messages,
    write_refinement,
)
from spar_core.engine.protocol import Message as Turn
from spar_core.ids import pair_id

RFT_CAPS: dict[str, int] = {
    "tree_refinement": 4000,
    "tree_judgement_yes": 1500,
    "tree_judgement_no": 1000,
    "response_judgement_no": 500,
    "response_judgement_yes": 2500,
}
"""Samples an iteration has of each kind at most; earlier kinds claim a judge prompt first."""


def similarity(one: str, other: str) -> float:
    """How alike two texts are, 0 to 1: 1 - (insertions + deletions) / summed length."""
    from rapidfuzz import fuzz

    return float(fuzz.ratio(one, other)) / 100


class Sides(TypedDict):
    """What every pair has, however it was made."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    similarity: float
    chosen_chars: int
    rejected_chars: int


def sides(prompt: TextOrChat, chosen: str, rejected: str) -> Sides | None:
    """The two sides of a pair with their likeness; None where both are the same text.

    White space round a text tells nothing of the instruction: neither side has it.
    """
    chosen, rejected = chosen.strip(), rejected.strip()
    if chosen == rejected:
        return None
    return Sides(
        prompt=[_message(m) for m in messages_of(prompt)],
        chosen=[Message("assistant", chosen)],
        rejected=[Message("assistant", rejected)],
        similarity=similarity(chosen, rejected),
        chosen_chars=len(chosen),
        rejected_chars=len(rejected),
    )


_OF_ITEM = ("key", "prompt", "earlier_turns", "checks", "chosen", "rejected")


def pair_of_responses(
    item: Mapping[str, Any], method: str, iteration: int, variant: str
) -> list[Pair]:
    """The pair of two sampled responses to a prompt; none where both are the same text.

    Args:
        item: `key`, that names the pair, `prompt`, `earlier_turns`, `chosen` and `rejected`, and
            columns of `pairs`.
    """
    texts = sides(prompt_of(item), item["chosen"], item["rejected"])
    if texts is None:
        return []
    name = pair_id(f"i{iteration}.{item['key']}.{method}", variant)
    columns = {column: value for column, value in item.items() if column not in _OF_ITEM}
    return [Pair(pair_id=name, method=method, **texts, **columns)]


def answer_conversation(prompt: TextOrChat, answer: str) -> list[Message]:
    """What the actor should have said."""
    return [_message(m) for m in actor_messages(prompt)] + [Message("assistant", answer)]


def judge_conversation(prompt: TextOrChat, response: str, critique: str) -> list[Message]:
    """What the refiner should have said when asked to judge."""
    return [_message(m) for m in judge_messages(prompt, response)] + [
        Message("assistant", critique)
    ]


def refine_conversation(
    prompt: TextOrChat, response: str, critique: str, refinement: Refinement
) -> list[Message]:
    """What the refiner should have said when asked to refine."""
    return [_message(m) for m in refine_messages(prompt, response, critique)] + [
        Message("assistant", write_refinement(refinement))
    ]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen for the refiner to learn: a row of the selection (spar_core.stages.rft).

    reflection, refined: of a refinement; None of a judgement.
    reasoning: what the refiner thought before it wrote the judgement or the refinement.
    """

    key: str
    source: str
    prompt_id: str
    prompt: str
    tree_id: str | None
    node_id: str | None
    response_id: str | None
    response: str
    critique: str
    reflection: str | None
    refined: str | None
    verdict: str
    value: float
    earlier_turns: Any = None
    reasoning: str | None = None


def rft_sample(chosen: Chosen) -> RftSample:
    """The chat whose last turn the refiner should learn to write."""
    said = (with_earlier(chosen.prompt, chosen.earlier_turns), chosen.response, chosen.critique)
    is_judgement = chosen.refined is None
    return RftSample(
        rft_id=chosen.key,
        messages=judge_conversation(*said)
        if chosen.refined is None
        else refine_conversation(*said, Refinement(chosen.reflection or "", chosen.refined)),
        task="judge" if is_judgement else "refine",
        label=chosen.verdict.capitalize() if is_judgement else None,
        source=chosen.source,
        value=chosen.value,
        prompt_id=chosen.prompt_id,
        tree_id=chosen.tree_id,
        node_id=chosen.node_id,
        response_id=chosen.response_id,
        reasoning=chosen.reasoning,
    )


def _message(message: Turn) -> Message:
    return Message(message["role"], message["content"])
