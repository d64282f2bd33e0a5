"""Ratings: what is asked of whoever rates a response, and how the answer is read.

An additive rubric: a point for each of five statements that holds, the mean of several ratings
being the response's value (arXiv 2401.10020).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spar_core.chat import TextOrChat, shown
from spar_core.conversation import hashed, verdict_grammar
from spar_core.engine.protocol import Message

HIGHEST = 5

RATE = """\
You grade a Response to a Prompt. The grade begins at 0, and every statement below that holds \
adds 1 to it. Take them in order, and stop at the first that does not hold.

1. The Response deals with what the Prompt asks about.
2. It does a good part of what is asked, even where the rest is missing or goes off the subject.
3. It does all that is asked, so that whoever asked could work with it as it stands.
4. It keeps to every limit that the Prompt sets (length, form, style, words to use or avoid), and \
is clear and in good order.
5. Nothing in it is wrong, lacking or superfluous: somebody who knows the matter would change \
nothing.

Prompt: "{prompt}"

Response: "{response}"

Say in a few sentences which statements hold and why, then add up. Answer in this form:
Points: ...
Score: <the sum, a whole number>"""

_REASONS = "Points:"
_SCORE = "Score:"
_SAID_SCORE = re.compile(
    r"(?<![^\W_])score[\s*_]*(?:\([^()\n]*\)[\s*_]*)?[:：][\s*_<\[({$]*(?:\\boxed\{)?"
    r"(?P<first>\d+(?:\.\d+)?)"
    r"(?:[\s*_]*\+[^=\n]*=[\s*_]*(?P<sum>\d+(?:\.\d+)?))?",
    re.IGNORECASE,
)


def mean_of_readable(scores: Sequence[float | None]) -> float | None:
    """The mean of the scores that could be read; None unless more than half of them could."""
    read = [score for score in scores if score is not None]
    return sum(read) / len(read) if 2 * len(read) > len(scores) else None


def rate_messages(prompt: TextOrChat, response: str) -> list[Message]:
    """The conversation that asks for a rating."""
    return [{"role": "user", "content": RATE.format(prompt=shown(prompt), response=response)}]


def read_number(text: str) -> float | None:
    """The number after the last `Score:`, None where there is none; of numbers added up the sum."""
    found = [*_SAID_SCORE.finditer(text)]
    return float(found[-1]["sum"] or found[-1]["first"]) if found else None


def read_score(text: str) -> float | None:
    """The number after the last `Score:`; None where there is none, or none from 0 to 5."""
    score = read_number(text)
    return score if score is not None and score <= HIGHEST else None


def rate_grammar(max_tokens: int) -> str:
    """A GBNF grammar that holds an answer to a rating's form."""
    scores = [str(score) for score in range(HIGHEST + 1)]
    return verdict_grammar(_REASONS, _SCORE, scores, max_tokens)


def fingerprint() -> str:
    """Changes when what is said to whoever rates changes."""
    return hashed(RATE, rate_grammar(64))
