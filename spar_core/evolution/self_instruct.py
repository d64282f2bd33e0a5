"""The writer that is a model shown eight tasks: it writes one more of their kind.

Self-instruction as Self-Rewarding uses it (arXiv 2401.10020): six tasks are people's, two were
written by the model before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spar_core.conversation import hashed
from spar_core.engine.protocol import ChatRequest, Engine, Message, Sampling, seed_of
from spar_core.evolution.evolved import Evolved

SHOWN, WRITTEN = 8, 2
"""Tasks that are shown, and how many of them the model wrote, if there are as many."""

ROUNDS = 3
"""How often at most a task is asked for until one can be read."""

INSTRUCT = """\
These are tasks that were given to an assistant, each by somebody else.

{tasks}

Write the next one. It is about something that none of these is about, it asks for another kind of \
answer than most of them, and whoever reads it needs nothing else to begin. Do not do the task. \
Answer in this form, with nothing after it:
Task {next}: ..."""

_BEGINS = re.compile(r"\A\W*Task(?:\s+\d+)?\W*:\W*?(?=\w|[\"'(¿¡])", re.IGNORECASE)
_NEXT = re.compile(r"^\W*Task\s+\d+\W*:", re.IGNORECASE | re.MULTILINE)


async def instruct(engine: Engine, tasks: Sequence[str], sampling: Sampling, draws: int) -> Evolved:
    """One more task than these.

    Args:
        draws: seed of what is drawn.
    """
    prompt_tokens = completion_tokens = 0
    said = ""
    for attempt in range(ROUNDS):
        answer = await engine.chat(
            ChatRequest(
                messages=tuple(messages(tasks)),
                sampling=sampling,
                seed=seed_of(draws, "instruct", attempt),
            )
        )
        prompt_tokens += answer.prompt_tokens
        completion_tokens += answer.completion_tokens
        choice = answer.choices[0]
        said = choice.text
        task = "" if choice.is_cut else read_task(said)
        if task:
            return Evolved(
                prompt=task, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
            )
    return Evolved(
        dropped="off_format",
        why=" ".join(said.split())[:200],
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def messages(tasks: Sequence[str]) -> list[Message]:
    """The conversation that asks for one more task."""
    listed = "\n\n".join(f"Task {n}: {task.strip()}" for n, task in enumerate(tasks, 1))
    content = INSTRUCT.format(tasks=listed, next=len(tasks) + 1)
    return [{"role": "user", "content": content}]


def read_task(text: str) -> str:
    """The first task in an answer, without its number; "" where there is none."""
    found = _BEGINS.match(text)
    if not found:
        return ""
    rest = text[found.end() :]
    following = _NEXT.search(rest)
    return (rest[: following.start()] if following else rest).strip()


def fingerprint() -> str:
    """Changes when what is said to the model changes."""
    return hashed(INSTRUCT)
