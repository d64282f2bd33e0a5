"""What is said to the actor and the refiner, and how the refiner's answers are read.

The markers (`Final Judgement`, `[[start]]`, `[[end]]` and the labels before them) are the wire
format of published SPaR refiners (arXiv 2412.11605, appendix; their code): they are kept so that
such refiners and their data work unchanged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from spar_core.chat import TextOrChat, messages_of, shown
from spar_core.engine.protocol import Message

Vote = Literal["Yes", "No"]

JUDGE = """\
You check whether an Output does what a Prompt asks. Find every requirement the Prompt states \
(content, length, format, style, words to use or avoid) and judge whether the Output meets it \
exactly. One missed requirement is enough for a No.

Prompt: "{prompt}"

Output: "{response}"

Go through the requirements one by one, then give the verdict. Answer in this form:
Step-by-step verification: ...
Final Judgement (if the Output accurately follows the Prompt): Yes or No"""

REFINE = """\
Now refine the Output so that it meets every requirement of the Prompt. Mend what your judgement \
found wrong, leave the rest as it is, and write the whole refined output. Answer in this form:
Reflection on how to refine the Output: ...
Final Refined Output: [[start]] ... [[end]]"""

_VERIFICATION = "Step-by-step verification:"
_JUDGEMENT = "Final Judgement (if the Output accurately follows the Prompt):"
_REFLECTION = "Reflection on how to refine the Output:"
_REFINED = "Final Refined Output:"

_VERDICT = r"final\s+judge?ment(?![^\W_])"
_VERDICT_LINE = re.compile(rf"^(?:[^\w\n]|[\d_])*+{_VERDICT}", re.IGNORECASE | re.MULTILINE)
_VERDICT_ANYWHERE = re.compile(_VERDICT, re.IGNORECASE)
_FORM = re.compile(r"\([^()\n]*\)[\s*_]*[:：]|\byes\s*(?:or|[/|])\s*no\b", re.IGNORECASE)
"""What a verdict line repeats of the form: the bracket before the colon, and the two words."""

_SAID_VOTE = re.compile(
    r"(?<![^\W_])(?:yes|no)(?=[ \t]*(?:[^\w\s]|_|[\r\n]|\Z)"
    r"|\s+(?:because|since|as|for|due|it|the|this|that)\b)",
    re.IGNORECASE,
)
"""A Yes or No that stands alone, or before a reason; not one of `no commas` or `No faults`."""

_REFLECTION_LABEL = re.compile(rf"\A[#*_\s]*{_REFLECTION[:-1]}[*_\s]*:[*_]*", re.IGNORECASE)
_REFINED_LABEL = re.compile(rf"(?<![#*_ \t])[#*_ \t]*+{_REFINED[:-1]}[*_\s]*:[*_]*", re.IGNORECASE)
"""The labels with the Markdown round them."""

_REFINED_OUTPUT = re.compile(r"\[\[start\]\](.*?)\[\[end\]\]", re.DOTALL)


def actor_messages(prompt: TextOrChat) -> list[Message]:
    """The conversation that asks the actor for a response."""
    return messages_of(prompt)


def judge_messages(prompt: TextOrChat, response: str) -> list[Message]:
    """The conversation that asks the refiner for a judgement."""
    content = fill(JUDGE, prompt=shown(prompt), response=response)
    return [{"role": "user", "content": content}]


def refine_messages(prompt: TextOrChat, response: str, critique: str) -> list[Message]:
    """The judge conversation taken further: an engine's prefix cache serves its first part."""
    return [
        *judge_messages(prompt, response),
        {"role": "assistant", "content": critique},
        {"role": "user", "content": REFINE},
    ]


def read_vote(text: str) -> Vote | None:
    """The first Yes or No of the last verdict; None where there is none.

    The verdict begins with the last line that begins with `Final Judgement`, or, where no line
    does, where these words stand last: a judge may quote a verdict or think aloud before. Case,
    Markdown and the spelling `Judgment` do not matter.
    """
    found = [*_VERDICT_LINE.finditer(text)] or [*_VERDICT_ANYWHERE.finditer(text)]
    if not found:
        return None
    said = _SAID_VOTE.search(_FORM.sub(" ", text[found[-1].end() :]))
    if said is None:
        return None
    return "Yes" if said.group().lower() == "yes" else "No"


class Refinement(NamedTuple):
    """A refiner's answer, read: why, and the refined response."""

    reflection: str
    response: str


def read_refinement(text: str) -> Refinement | None:
    """What stands between the last `[[start]]` and `[[end]]`; None where there is nothing.

    The last complete one counts: a refiner may write a draft before it.
    """
    found = [*_REFINED_OUTPUT.finditer(text)]
    if not found or not found[-1].group(1).strip():
        return None
    before = text[: found[-1].start()]
    if labels := [*_REFINED_LABEL.finditer(before)]:
        before = before[: labels[-1].start()]
    reflection = _REFLECTION_LABEL.sub("", before.strip()).strip()
    return Refinement(reflection, found[-1].group(1).strip())


def write_judgement(verification: str, vote: Vote) -> str:
    """A judgement in the wire format, as a refiner should have written it."""
    return f"{_VERIFICATION} {verification}\n{_JUDGEMENT} {vote}"


def write_refinement(refinement: Refinement) -> str:
    """A refinement in the wire format, as a refiner should have written it."""
    return (
        f"{_REFLECTION} {refinement.reflection}\n{_REFINED} [[start]] {refinement.response} [[end]]"
    )


def judge_grammar(max_tokens: int) -> str:
    """A GBNF grammar that holds an answer to the judge's wire format; see `verdict_grammar`."""
    return verdict_grammar(_VERIFICATION, _JUDGEMENT, ("Yes", "No"), max_tokens)


def verdict_grammar(reasons: str, verdict: str, words: Sequence[str], max_tokens: int) -> str:
    """A GBNF grammar (llama.cpp, xgrammar) of an answer that gives reasons, then one of the words.

    Args:
        reasons, verdict: what stands before each.
        max_tokens: the answer's limit; the reasons are kept short enough to reach the verdict.
    """
    if _is_short(max_tokens):
        body = _bounded("[^\\n]", max_tokens - 24) + ' "\\n"'
    else:
        body = '([^\\n]+ "\\n"+)+'
    said = " | ".join(f'"{word}"' for word in words)
    return f'root ::= "{reasons} " {body} "{verdict} " ({said})\n'


def refine_grammar(max_tokens: int) -> str:
    """A GBNF grammar that holds an answer to the refiner's wire format; see `judge_grammar`.

    Brackets in the refined output are single. Under a short limit a text without brackets is
    bounded as a judge's reasons are, and so is what follows each of up to eight brackets. A counted
    repeat of a rule that allows for brackets would cost xgrammar half a second for every token.
    """
    begins = f"{_REFLECTION} ", f"\\n{_REFINED} [[start]] "
    if not _is_short(max_tokens):
        root = f'root ::= "{begins[0]}" [^\\n]+ "{begins[1]}" char+ " [[end]]"\n'
        return root + 'char ::= [^\\[] | "[" [^\\[]\n'
    half = (max_tokens - 32) // 2
    reflection, plain = _bounded("[^\\n]", half), _bounded("[^\\[]", half)
    after_bracket = _bounded("[^\\[]", half // 4)
    return (
        f'root ::= "{begins[0]}" {reflection} "{begins[1]}" body " [[end]]"\n'
        f"body ::= {plain} bracket{{0,8}} | bracket{{1,8}}\n"
        f'bracket ::= "[" {after_bracket}\n'
    )


_REFINE_FORMAT = (
    f'root ::= "{_REFLECTION} " [^\\n]{{1,40}} "\\n{_REFINED} [[start]] " char{{1,40}} " [[end]]"\n'
    'char ::= [^\\[] | "[" [^\\[]\n'
)
"""The refiner's wire format, as its grammar was first written: runs that were begun then go on."""


def fingerprint() -> str:
    """Changes when what is said to the models changes."""
    return hashed(JUDGE, REFINE, judge_grammar(64), _REFINE_FORMAT)


def hashed(*said: str) -> str:
    """Changes when one of the texts does, which are what is said to a model."""
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]


def fill(template: str, **values: str) -> str:
    """The template with each `{name}` replaced once; braces in the values mean nothing."""
    parts = re.split(r"\{(\w+)\}", template)
    return "".join(values[part] if i % 2 else part for i, part in enumerate(parts))


def _is_short(max_tokens: int) -> bool:
    """Whether the length is worth bounding: above this, grammars with counted repeats are slow."""
    return max_tokens <= 256


def _bounded(symbol: str, tokens: int) -> str:
    """The symbol repeated as often as fits: 2.5 characters a token leave room for rare words."""
    return f"{symbol}{{1,{max(16, int(tokens * 2.5))}}}"
