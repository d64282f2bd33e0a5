"""Backtranslation: an instruction is written for a text, and the two are rated as a pair.

What is asked and how the answers are read (arXiv 2308.06259): the rating is one of five grades by
how well the text would do as the answer of an assistant that was given the instruction.
"""

from __future__ import annotations

import re

from spar_core.conversation import hashed, verdict_grammar
from spar_core.engine.protocol import Message
from spar_core.rating import read_score

LEAST = 4.5
"""The mean rating from which on a pair is learnt."""

BACKWARD = """\
Here is a Text. Write the instruction that somebody could have given to an assistant so that this \
Text is the complete answer to it. The instruction must stand by itself: it names its subject, and \
the form and length that the Text has, and does not mention that there is a text.

Text: "{text}"

Answer with the instruction alone."""

CURATE = """\
An assistant was given the Instruction and gave the Answer. Choose the grade that fits best.

1: The Answer is about something else, breaks off, or is not written for whoever asked (an \
advertisement, a menu of a web site, a comment on something that is not there).
2: It is about the subject but leaves out most of what is asked.
3: It gives what is asked, but as somebody wrote it for other readers: as a blog, a news item or a \
record of the writer's own doings.
4: It is written for whoever asked, complete and clear, and could be shorter, better ordered or \
closer to the question.
5: It is what an expert would have answered to just this Instruction: complete, to the point, well \
written, with nothing that does not belong there.

Instruction: "{instruction}"

Answer: "{text}"

Give your reasons in a few sentences, then the grade. Answer in this form:
Reasons: ...
Score: <the grade, 1 to 5>"""

_REASONS = "Reasons:"
_SCORE = "Score:"
_LABEL = re.compile(r"\A\W*instruction[*_]*:[*_]*\s*", re.IGNORECASE)


def backward_messages(text: str) -> list[Message]:
    """The conversation that asks for an instruction to a text."""
    return [{"role": "user", "content": BACKWARD.format(text=text)}]


def curate_messages(instruction: str, text: str) -> list[Message]:
    """The conversation that asks for a rating of an instruction and a text as its answer."""
    content = CURATE.format(instruction=instruction, text=text)
    return [{"role": "user", "content": content}]


def read_instruction(answer: str) -> str:
    """The instruction in an answer, without a label or quotation marks round it; "" for none."""
    said = _LABEL.sub("", answer.strip()).strip()
    is_quoted = len(said) > 1 and said[0] == said[-1] == '"' and said.count('"') == 2
    return said[1:-1].strip() if is_quoted else said


def read_grade(text: str) -> float | None:
    """The number after the last `Score:`; None where there is none, or none from 1 to 5."""
    score = read_score(text)
    return score if score is not None and score >= 1 else None


def curate_grammar(max_tokens: int) -> str:
    """A GBNF grammar that holds an answer to a rating's form."""
    return verdict_grammar(_REASONS, _SCORE, [*"12345"], max_tokens)


def fingerprint() -> str:
    """Changes when what is said to the models changes."""
    return hashed(BACKWARD, CURATE, curate_grammar(64))
