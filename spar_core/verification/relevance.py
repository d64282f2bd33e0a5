"""Relevance: whether an answer that programs accept answers its prompt at all.

A function that checks a form accepts any text of that form, on whatever subject. What is asked
and how the answers are read (arXiv 2406.13542): several scores of 1 to 10 of an answer, whose mean
must be over 8.
"""

from __future__ import annotations

from spar_core.chat import TextOrChat, shown
from spar_core.conversation import fill, hashed, verdict_grammar
from spar_core.engine.protocol import Message
from spar_core.rating import read_number

LOWEST, HIGHEST = 1, 10
OVER = 8
"""The mean score over which an answer is relevant."""

RELATE = """\
Judge how well a Response answers the query in a Prompt. The Prompt also sets limits of form, such \
as length, layout, letter case, or words to use or avoid: they are checked elsewhere, and a \
Response that is short or odd because of them loses nothing. What counts is whether it deals with \
what the query asks about, and helps whoever asked.

Prompt: "{prompt}"

Response: "{response}"

1 is a Response that has nothing to do with the query, 10 one that answers it fully. Give your \
reasons in a few sentences, then the score. Answer in this form:
Reasons: ...
Score: <a whole number, 1 to 10>"""

_REASONS = "Reasons:"
_SCORE = "Score:"


def relate_messages(prompt: TextOrChat, response: str) -> list[Message]:
    """Return the conversation that asks how relevant a response is."""
    return [{"role": "user", "content": fill(RELATE, prompt=shown(prompt), response=response)}]


def read_relevance(text: str) -> float | None:
    """Return the number after the last `Score:`; None without one, or where it is not 1 to 10."""
    score = read_number(text)
    return score if score is not None and LOWEST <= score <= HIGHEST else None


def relate_grammar(max_tokens: int) -> str:
    """Return a GBNF grammar that holds an answer to the form that is asked for."""
    scores = [str(score) for score in range(LOWEST, HIGHEST + 1)]
    return verdict_grammar(_REASONS, _SCORE, scores, max_tokens)


def fingerprint() -> str:
    """Changes when what is said to the model changes."""
    return hashed(RELATE, relate_grammar(64))
