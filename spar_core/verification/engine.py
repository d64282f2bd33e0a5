"""The writer of verification functions: what a model is asked, and what is left of its answers.

A prompt's functions are written in one request. Of each that passes the tests the model says in
words what it checks, without the prompt, and then whether that contradicts the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from schemas.verifiers import Case
from spar_core.conversation import fill, hashed
from spar_core.decoding.tasks import all_of
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Engine, Message, Sampling, seed_of
from spar_core.verification.cross_validation import agreed, passed, pooled
from spar_core.verification.trial import NAME, Limits, Trial, tried

CASES = 10
"""Test cases that are read of one answer at most."""

WRITE = """\
Here is an instruction. Some of what it asks of an answer a program can check: length, layout, \
letter case, punctuation, words to use or to avoid, and the like.

Instruction: {prompt}

Write a Python function `evaluate(response: str) -> bool` that returns True for an answer that \
meets all of that and False for any other. It must say nothing of what no program can check. It \
has the standard library only, and no files, network or input. Then write six short test cases, \
three answers that meet it and three that nearly do. Answer in this form:
```python
def evaluate(response: str) -> bool:
    ...
```
```json
[{"response": "...", "expected": true}, {"response": "...", "expected": false}]
```
If a program can check nothing of what the instruction asks, answer only
Nothing to check"""

TRANSLATE = """\
Here is a Python function that looks at an answer to some instruction.

```python
{code}
```

Say in one or two sentences, without code, what an answer must be like for it to return True. \
Answer with these sentences only."""

COMPARE = """\
Here are an instruction and a rule for answers to it.

Instruction: {prompt}

Rule: {rule}

How is the rule to the instruction?
- entailment: an answer that does all that the instruction asks obeys the rule
- contradiction: an answer that does all that the instruction asks breaks the rule
- neutral: neither is certain
Explain in a sentence, then answer in this form:
Relation: entailment, neutral or contradiction"""

_FENCED = r"^[ \t]*```{}[ \t]*\n(.*?)^[ \t]*```[ \t]*$"
_CODE = re.compile(_FENCED.format("(?:python3?|py)"), re.MULTILINE | re.DOTALL)
_CASES = re.compile(_FENCED.format("json"), re.MULTILINE | re.DOTALL)
_NOTHING = re.compile(r"^\W*Nothing to check\W*$", re.MULTILINE | re.IGNORECASE)
_RELATION = re.compile(
    r"Relation\W*:\W*(entailment(?!, neutral or)|neutral|contradiction)\b", re.IGNORECASE
)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """sampling: how functions are drawn, so many a prompt. limits: of the sandbox."""

    sampling: Sampling
    functions: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Written:
    """A function and what became of it, as in the table `verifiers`."""

    code: str = ""
    cases: tuple[Case, ...] = ()
    outcome: str | None = None
    answered: int = 0
    tests: int = 0
    tests_passed: int = 0
    translation: str | None = None
    relation: str | None = None
    dropped: str | None = None
    why: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def write(engine: Engine, prompt: str, settings: WriteSettings, seed: int) -> list[Written]:
    """The functions for a prompt, the dropped ones included, in the order of the answers.

    Raises:
        ItemError: a request could not be answered.
    """
    asked = _request(WRITE, settings.sampling, seed_of(seed, "write"), prompt=prompt)
    answer = await engine.chat(replace(asked, n=settings.functions))
    written = [
        replace(read(choice.text), completion_tokens=choice.tokens) for choice in answer.choices
    ]
    written[0] = replace(written[0], prompt_tokens=answer.prompt_tokens)
    tested = await _tested(written, settings.limits)
    return await all_of(
        _translated(engine, prompt, each, settings.sampling, seed_of(seed, "translate", number))
        for number, each in enumerate(tested)
    )


def read(text: str) -> Written:
    """A function and its test cases, as they stand in an answer."""
    code = _CODE.search(text)
    if code and re.search(rf"^def {NAME}\(", code[1], re.MULTILINE):
        cases = _CASES.search(text, code.end())
        return Written(code[1], tuple(_cases(cases[1])) if cases else ())
    nothing = _NOTHING.search(text)
    return Written(dropped="nothing_to_check" if nothing else "off_format", why=_line(text))


def fingerprint() -> str:
    """Changes when what is said to the model changes."""
    return hashed(WRITE, TRANSLATE, COMPARE)


def _cases(text: str) -> list[Case]:
    """What can be read of a list of test cases."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found = found if isinstance(found, list) else []
    return [Case(each["response"], each["expected"]) for each in found if _is_case(each)][:CASES]


def _is_case(each: Any) -> bool:
    """Whether this is a test case, of text that UTF-8 can hold (JSON can hold half a pair)."""
    return (
        isinstance(each, dict)
        and isinstance(each.get("response"), str)
        and isinstance(each.get("expected"), bool)
        and not _SURROGATE.search(each["response"])
    )


async def _tested(written: Sequence[Written], limits: Limits) -> list[Written]:
    """The functions after cross-validation."""
    cases = pooled(case for each in written for case in each.cases)
    responses = [case.response for case in cases]
    runnable = [place for place, each in enumerate(written) if each.dropped is None]
    found = await all_of(tried(written[place].code, responses, limits) for place in runnable)
    trials = dict(zip(runnable, found, strict=True))
    tests = agreed(cases, found)
    held = {cases[place] for place in tests}
    return [
        _judged(_marked(each, held), trials[place], len(tests), passed(cases, tests, trials[place]))
        if place in trials
        else each
        for place, each in enumerate(written)
    ]


def _marked(written: Written, tests: set[Case]) -> Written:
    """The function with its cases marked that are tests."""
    cases = tuple(replace(case, agreed=case in tests) for case in written.cases)
    return replace(written, cases=cases)


def _judged(written: Written, trial: Trial, tests: int, passes: int) -> Written:
    """The function with what its trial has shown."""
    dropped: str | None = None
    why = trial.message
    if trial.outcome != "ran":
        dropped = trial.outcome
    elif not tests:
        dropped, why = "no_tests", "the functions agree on no case"
    elif 2 * passes <= tests:
        dropped, why = "fails_tests", f"it passes {passes} of {tests} tests"
    return replace(
        written,
        outcome=trial.outcome,
        answered=sum(answer is not None for answer in trial.answers),
        tests=tests,
        tests_passed=passes,
        dropped=dropped,
        why=why,
    )


async def _translated(
    engine: Engine, prompt: str, written: Written, sampling: Sampling, seed: int
) -> Written:
    """The function after back translation, if it is not dropped already."""
    if written.dropped:
        return written
    certain = replace(sampling, temperature=0.0)
    said = await engine.chat(_request(TRANSLATE, certain, seed, code=written.code.strip()))
    rule = said.choices[0].text.strip()
    compared = await engine.chat(_request(COMPARE, certain, seed, prompt=prompt, rule=rule))
    text = compared.choices[0].text
    found = _RELATION.findall(text)
    relation = found[-1].lower() if found else None
    dropped = "contradiction" if relation == "contradiction" else None if relation else "unchecked"
    return replace(
        written,
        translation=rule,
        relation=relation,
        dropped=dropped,
        why=_line(text) if dropped else written.why,
        prompt_tokens=written.prompt_tokens + _prompt_tokens(said, compared),
        completion_tokens=written.completion_tokens
        + said.completion_tokens
        + compared.completion_tokens,
    )


def _prompt_tokens(*answers: ChatAnswer) -> int:
    return sum(answer.prompt_tokens for answer in answers)


def _request(template: str, sampling: Sampling, seed: int, **values: str) -> ChatRequest:
    """The filled template as a request."""
    message: Message = {"role": "user", "content": fill(template, **values)}
    return ChatRequest(messages=(message,), sampling=sampling, seed=seed)


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
