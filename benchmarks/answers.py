"""What the simulated model says: actor, judge and refiner, in the wire format of refiners, and
writer of prompts and of functions that check answers.

A response holds a hidden quality `q=0.xx`: a vote says Yes with that chance, and refining mostly
raises it. An answer follows from the chat, the seed and the answer's number, as with vLLM, so that
a request that is sent again is answered alike.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spar_core.engine.protocol import Message

ACTOR_CHARS, JUDGE_CHARS, REFINE_CHARS = 900, 600, 1100
RATE_CHARS, COMPARE_CHARS, TASK_CHARS = 600, 600, 400
FUNCTION_CHARS, TRANSLATION_CHARS, RELATION_CHARS = 1200, 200, 200
"""Mean lengths of answers; 4 characters are a token."""

SPREAD = 0.4
"""Of the lengths: the sigma of their log-normal distribution."""

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "marsh")
_QUALITY = re.compile(r"q=(\d\.\d\d)")


def stream(*parts: object) -> random.Random:
    """Random numbers that depend on the parts and on nothing else."""
    return random.Random(repr(parts))


_TEXT = " ".join(stream("text").choices(_WORDS, k=40_000))


@dataclass(frozen=True, slots=True)
class Script:
    """How the model answers.

    malformed_rate: share of judgements and refinements that cannot be read.
    equal_rate: share of answers that disregard the seed: those of one chat are equal texts.
    """

    seed: int = 0
    malformed_rate: float = 0.0
    equal_rate: float = 0.0

    def answers(self, messages: Sequence[Message], seed: int, n: int) -> list[str]:
        """The n answers to a chat."""
        chat = hash_of(messages, self.seed)
        last = messages[-1]["content"]
        if "Final Refined Output" in last:
            before = quality(messages[0]["content"])
            return [self._refine(self._drawn(chat, seed + i), before) for i in range(n)]
        if "Final Judgement" in last:
            good = quality(last)
            return [self._judge(stream(chat, seed + i), good) for i in range(n)]
        if "Score: <the" in last:
            good = quality(last)
            return [self._rate(stream(chat, seed + i), good) for i in range(n)]
        for asked, say in _OTHERS.items():
            if asked in last:
                return [say(stream(chat, seed + i)) for i in range(n)]
        return [_act(self._drawn(chat, seed + i)) for i in range(n)]

    def _drawn(self, chat: int, seed: int) -> random.Random:
        drawn = stream(chat, seed)
        return stream(chat) if drawn.random() < self.equal_rate else drawn

    def _judge(self, drawn: random.Random, good: float) -> str:
        vote = "Yes" if drawn.random() < good else "No"
        said = f"Final Judgement (if the Output accurately follows the Prompt): {vote}"
        if drawn.random() < self.malformed_rate:
            said = "I cannot say."
        return f"Step-by-step verification: {_words(drawn, JUDGE_CHARS)}\n{said}"

    def _rate(self, drawn: random.Random, good: float) -> str:
        said = f"Score: {min(5, max(0, round(5 * good + drawn.uniform(-1.2, 1.2))))}"
        if drawn.random() < self.malformed_rate:
            said = "I cannot say."
        return f"Points: {_words(drawn, RATE_CHARS)}\n{said}"

    def _refine(self, drawn: random.Random, before: float) -> str:
        good = min(0.99, max(0.01, before + drawn.uniform(-0.2, 0.25)))
        refined = f"[[start]] {_words(drawn, 0.7 * REFINE_CHARS)} q={good:.2f} [[end]]"
        if drawn.random() < self.malformed_rate:
            refined = refined.replace("[", "")
        reflection = _words(drawn, 0.3 * REFINE_CHARS)
        return (
            f"Reflection on how to refine the Output: {reflection}\nFinal Refined Output: {refined}"
        )


def quality(text: str) -> float:
    """The last quality that a text holds."""
    found = _QUALITY.findall(text)
    return float(found[-1]) if found else 0.15


def hash_of(messages: Sequence[Message], seed: int) -> int:
    """The same in every process, unlike `hash`."""
    said = "\0".join(f"{message['role']}\0{message['content']}" for message in messages)
    return random.Random(f"{seed}\0{said}").getrandbits(64)


def _act(drawn: random.Random) -> str:
    return f"{_words(drawn, ACTOR_CHARS)} q={drawn.uniform(0.05, 0.6):.2f}"


def _compare(drawn: random.Random) -> str:
    return f"Comparison: {_words(drawn, COMPARE_CHARS)}\nBetter grader: {drawn.choice('AAB')}"


def _function(drawn: random.Random) -> str:
    """A function that accepts a quality of 0.35 and more, with tests; one in four is wrong."""
    about = _words(drawn, 0.4 * FUNCTION_CHARS)
    least = 0.35 if drawn.random() < 0.75 else 0.0
    code = (
        f'def evaluate(response: str) -> bool:\n    """{about}"""\n'
        f'    words = response.split()\n    quality = words[-1].rpartition("=")[2]\n'
        f"    return len(words) > 1 and float(quality) >= {least}\n"
    )
    cases = [
        {"response": f"{_words(drawn, 0.05 * FUNCTION_CHARS)} q={good}", "expected": good > 0.35}
        for good in (0.9, 0.1, 0.7, 0.2, 0.5, 0.3)
    ]
    return f"```python\n{code}```\n```json\n{json.dumps(cases)}\n```"


def _relation(drawn: random.Random) -> str:
    said = drawn.choices(("entailment", "neutral", "contradiction"), (8, 1, 1))[0]
    return f"{_words(drawn, RELATION_CHARS)}\nRelation: {said}"


def _relevance(drawn: random.Random) -> str:
    return f"Reasons: {_words(drawn, RATE_CHARS)}\nScore: {drawn.choice((7, 9, 9, 10, 10))}"


def _task(drawn: random.Random) -> str:
    return f"Task 9: {_instruction(drawn)}"


def _instruction(drawn: random.Random) -> str:
    return _words(drawn, TASK_CHARS)


def _translation(drawn: random.Random) -> str:
    return _words(drawn, TRANSLATION_CHARS)


def _words(drawn: random.Random, mean_chars: float) -> str:
    longer = min(4.0, drawn.lognormvariate(-SPREAD * SPREAD / 2, SPREAD))
    chars = max(4, round(mean_chars * longer))
    start = drawn.randrange(len(_TEXT) - chars)
    return _TEXT[start : start + chars].strip()


_OTHERS: dict[str, Callable[[random.Random], str]] = {
    "Score: <a whole number, 1 to 10>": _relevance,
    "Better grader:": _compare,
    "Write a Python function `evaluate": _function,
    "Relation: entailment, neutral or": _relation,
    "Here is a Python function that": _translation,
    "Write the next one.": _task,
    "Answer with the instruction alone.": _instruction,
}
"""What is said, by what a chat's last message holds, where no quality counts."""
