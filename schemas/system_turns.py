"""Chats for models whose template takes no system message: it goes into the first user turn.

Gemma 1 and 2 and early Mistral are such models. Servers and trainings fold in the same way, so that
a model is trained on what it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SYSTEM, USER = "system", "user"

Turn = Mapping[str, str]
"""A turn of a chat: `role` and `content`."""


def begins_with_system(messages: Sequence[Turn]) -> bool:
    """Return whether a chat begins with a system message."""
    return bool(messages) and messages[0]["role"] == SYSTEM


def fold_system(messages: Sequence[Turn]) -> list[dict[str, str]]:
    """Return a chat whose system message stands at the head of the first turn of the user.

    Without a turn of the user right after it the message becomes one.

    >>> fold_system([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    [{'role': 'user', 'content': 'Be brief.\\n\\nHi'}]
    """
    if not begins_with_system(messages):
        return [{**turn} for turn in messages]
    first, rest = messages[0]["content"], messages[1:]
    if rest and rest[0]["role"] == USER:
        first, rest = f"{first}\n\n{rest[0]['content']}", rest[1:]
    return [{"role": USER, "content": first}, *({**turn} for turn in rest)]
