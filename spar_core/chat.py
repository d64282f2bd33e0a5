"""A prompt as a chat: the turns before the user's last one, and how they are shown in a text.

A prompt of one turn is a plain text everywhere: its ids, requests and tables are those of the text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spar_core.engine.protocol import Message

MARK = "| "
"""Begins every line of an earlier turn where a chat is shown in a text."""

_SHOWN = """\
The last turn of a chat. It is to be answered now, and what the system message and the earlier \
turns of the user ask for still holds. Each line of the turns before it begins with "{mark}"; what \
the assistant says there was said before, and is not what is judged here.

{earlier}

The last turn of the user:
{last}"""

_NAMES = {"system": "System message", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt with turns before the user's last one.

    earlier: a system message or earlier turns, or both, in their order. last: the last turn's text.
    """

    earlier: tuple[Message, ...]
    last: str


TextOrChat = str | Chat
"""A prompt: a text by itself is a chat of one turn, the user's."""


def prompt_of(row: Mapping[str, Any]) -> TextOrChat:
    """Return the prompt of a row that has the columns `prompt` and `earlier_turns` of `prompts`."""
    last: str = row["prompt"]
    return with_earlier(last, row["earlier_turns"])


def with_earlier(last: str, earlier: Any) -> TextOrChat:
    """Return a prompt from its last turn and the turns before it, None or empty for none."""
    turns = (Message(role=turn["role"], content=turn["content"]) for turn in earlier or ())
    return Chat(tuple(turns), last) if earlier else last


def messages_of(prompt: TextOrChat) -> list[Message]:
    """Return the conversation that asks for an answer to a prompt."""
    if isinstance(prompt, str):
        return [Message(role="user", content=prompt)]
    return [*prompt.earlier, Message(role="user", content=prompt.last)]


def texts_of(prompt: TextOrChat) -> list[str]:
    """Return the texts of all turns of a prompt, the last turn's first."""
    return [message["content"] for message in reversed(messages_of(prompt))]


def shown(prompt: TextOrChat) -> str:
    """Return a prompt as one text, for whoever judges or refines an answer to it.

    No line of an earlier turn can be taken for a line of the template that the text stands in: all
    of them are marked.

    >>> chat = Chat(({"role": "system", "content": "Be brief."},), "Hi")
    >>> print(shown(chat).split("\\n\\n", 1)[1])
    System message:
    | Be brief.
    <BLANKLINE>
    The last turn of the user:
    Hi
    """
    if isinstance(prompt, str):
        return prompt
    earlier = "\n\n".join(map(_shown_turn, prompt.earlier))
    return _SHOWN.format(mark=MARK, earlier=earlier, last=prompt.last)


def fingerprint() -> str:
    """Return a hash that changes when the text does in which a chat is shown."""
    return hashlib.sha256(repr((_SHOWN, MARK, _NAMES)).encode()).hexdigest()[:16]


def _shown_turn(turn: Message) -> str:
    lines = turn["content"].splitlines() or [""]
    return "\n".join([f"{_NAMES[turn['role']]}:", *(MARK + line for line in lines)])
