"""From finished trees to training data: preference pairs and samples for the refiner.

Pairs: paper, section 2.3.3. RFT samples and their caps: its appendix and published code.
"""

from __future__ import annotations

from rapidfuzz import fuzz

from schemas.pairs import Message, Pair
from schemas.rft import RftSample
from schemas.table import SPAR
from spar_core.conversation import Refinement, judge_messages, refine_messages, write_refinement
from spar_core.engine.protocol import Message as Turn

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
    return float(fuzz.ratio(one, other)) / 100


def pair(
    prompt: str, chosen: str, rejected: str, **columns: str | int | float | None
) -> Pair | None:
    """A pair with its quality; None where both sides are the same text.

    Args:
        columns: the remaining columns of `Pair`, as they stand in the run's tables.
    """
    if chosen.strip() == rejected.strip():
        return None
    return Pair(
        prompt=[Message("user", prompt)],
        chosen=[Message("assistant", chosen)],
        rejected=[Message("assistant", rejected)],
        method=SPAR,
        similarity=similarity(chosen, rejected),
        chosen_chars=len(chosen),
        rejected_chars=len(rejected),
        **columns,  # type: ignore[arg-type]
    )


def judge_conversation(prompt: str, response: str, critique: str) -> list[Message]:
    """What the refiner should have said when asked to judge."""
    return [_message(m) for m in judge_messages(prompt, response)] + [
        Message("assistant", critique)
    ]


def refine_conversation(
    prompt: str, response: str, critique: str, refinement: Refinement
) -> list[Message]:
    """What the refiner should have said when asked to refine."""
    return [_message(m) for m in refine_messages(prompt, response, critique)] + [
        Message("assistant", write_refinement(refinement))
    ]


def rft_sample(item: dict[str, object]) -> RftSample:
    """A sample from a row of the selection: see `pipelines.pairs`."""
    text = {name: str(value or "") for name, value in item.items()}
    is_refinement = item["source"] == "tree_refinement"
    refinement = Refinement(text["reflection"], text["refined"])
    said = (text["prompt"], text["response"], text["critique"])
    return RftSample(
        rft_id=text["key"],
        messages=refine_conversation(*said, refinement)
        if is_refinement
        else judge_conversation(*said),
        task="refine" if is_refinement else "judge",
        label=None if is_refinement else str(item["verdict"]).capitalize(),
        source=text["source"],
        value=float(str(item["value"])),
        prompt_id=text["prompt_id"],
        tree_id=text["tree_id"] or None,
        node_id=text["node_id"] or None,
        response_id=text["response_id"] or None,
    )


def _message(message: Turn) -> Message:
    return Message(message["role"], message["content"])
