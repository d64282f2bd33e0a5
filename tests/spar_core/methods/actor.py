"""An actor that rates its own answers, whose qualities are known: in memory, or on a server."""

from __future__ import annotations

import re
from collections.abc import Sequence

from schemas.prompts import Prompt
from spar_core.engine.protocol import ChatRequest

TEXTS = [f"Prompt {n}: one line, please." for n in range(6)]
PROMPTS = [Prompt(f"p{n}", text, "a file", n) for n, text in enumerate(TEXTS)]
QUALITIES = (3, 0, 5, 5, 1)
"""Of the answers to a prompt, in their order: what a rating says on average."""


def role(last: str) -> str:
    """What the last message of a chat asks for: `meta`, `rate` or `answer`."""
    if "Better grader:" in last:
        return "meta"
    return "rate" if "Score:" in last else "answer"


def says(last: str, n: int) -> list[str]:
    """Answers of known qualities; of the last prompt all are as good.

    Ratings are right but for one of three, which is one point off; a comparison finds the better
    one, but for a bias to the first where both are equally far off.
    """
    if role(last) == "answer":
        alike = "Prompt 5" in last
        qualities = [1 if alike else quality for quality in QUALITIES]
        return [f"answer {i} {'x' * i} q={q / 5}" for i, q in enumerate(qualities)]
    right = round(5 * float(re.findall(r"q=(\d\.\d)", last)[0 if role(last) == "meta" else -1]))
    if role(last) == "rate":
        off = right - 1 if right else 1
        return [f"Points: {i}.\nScore: {off if i == 1 else right}" for i in range(n)]
    first, second = (abs(int(score) - right) for score in re.findall(r"Score: (\d)", last))
    return [f"Comparison: so.\nBetter grader: {'A' if first <= second else 'B'}"]


def play(request: ChatRequest) -> Sequence[str]:
    return says(request.messages[-1]["content"], request.n)


def mumble(request: ChatRequest) -> Sequence[str]:
    """Of three ratings of the best answer one can be read, of all others two."""
    last, answers = request.messages[-1]["content"], play(request)
    if role(last) != "rate":
        return answers
    readable = 1 if "q=1.0" in last else 2
    return [*answers[:readable], *("I cannot say." for _ in answers[readable:])]


def biased(request: ChatRequest) -> Sequence[str]:
    """A meta-judge that always finds the first better."""
    is_meta = role(request.messages[-1]["content"]) == "meta"
    return ["Better grader: A"] if is_meta else play(request)


def number(response: str | None) -> int:
    """The place of a response among those to its prompt."""
    return int(str(response).rpartition(".r")[2])
