"""The chat of a row of the input: the turns of a prompt, in whatever shape the row gives them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from schemas.pairs import Message
from spar_core.prompt_columns import (
    CHATS,
    JOINED,
    SYSTEM_COLUMNS,
    beside_of,
    first_of,
)
from spar_core.surrogates import shown

_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model"), "assistant"),
}
"""Roles as files name them, and as the run does."""

_ROLE_KEYS = ("role", "from")
_TEXT_KEYS = ("content", "value")
_CALLS = ("tool_calls", "function_call")

_REMEDY = (
    "a prompt is a text, or messages that end with the turn of the user that is to be answered"
)


class BadChat(Exception):
    """A row whose prompt cannot be used.

    error: one word for the `error` column of failures. payload: what the row says.
    """

    def __init__(self, error: str, message: str, payload: str) -> None:
        super().__init__(message)
        self.error = error
        self.payload = payload


@dataclass(frozen=True, slots=True)
class RowChat:
    """The prompt of a row.

    last: the last turn. earlier: the turns before it, None for none. used: the columns that it
    stands in. notes: what a user should be told once of how such rows are read.
    """

    last: str
    earlier: list[Message] | None
    used: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_chat(row: Mapping[str, Any], column: str, columns: Sequence[str]) -> RowChat:
    """Read the prompt of a row.

    Args:
        column: where it stands: a text, or a list of messages. columns: all that a prompt may stand
            in; the usual ones of prompts have `input` after Alpaca's `instruction`.

    Raises:
        BadChat: it is neither, or no prompt.
    """
    turns, notes = _turns(row[column], column)
    used = [column]
    beside = [name for name in beside_of(column, columns) if _says_something(row.get(name))]
    if JOINED[1] in beside:
        turns = [*turns[:-1], Message("user", f"{turns[-1].content}\n\n{row[JOINED[1]]}")]
        used.append(JOINED[1])
        notes = (*notes, f"`{JOINED[1]}` follows `{JOINED[0]}`")
    if (name := first_of(SYSTEM_COLUMNS, beside)) and name != column:
        turns = _with_system(turns, row[name], name)
        used.append(name)
        notes = (*notes, f"`{name}` is the system message")
    _check(turns, column)
    return RowChat(turns[-1].content, turns[:-1] or None, tuple(used), notes)


def _says_something(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _with_system(turns: Sequence[Message], text: str, column: str) -> list[Message]:
    """Return the turns with a system message before them, which they may have already."""
    if turns[0].role != "system":
        return [Message("system", text), *turns]
    if turns[0].content.strip() != text.strip():
        message = f"`{column}` and the chat's own system message differ; one says it all"
        raise BadChat("bad_chat", message, shown(text))
    return [*turns]


def _turns(value: Any, column: str) -> tuple[list[Message], tuple[str, ...]]:
    """Return the turns that a value holds, and what it holds beside that is not read."""
    if isinstance(value, str) and column in CHATS:
        value = _decoded(value, column)
    if isinstance(value, str):
        return [Message("user", value)], ()
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        message = f"`{column}` is {_brief(value)}, not text or messages"
        raise BadChat("no_prompt", message, shown(str(value)))
    if not value:
        raise BadChat("empty_prompt", f"`{column}` has no turns", "[]")
    turns = [_turn(each, number) for number, each in enumerate(value, 1)]
    said = [turn for turn in turns if turn.role != "system" or turn.content.strip()]
    if not said:
        raise BadChat("empty_prompt", "the prompt is empty", shown(str(value)))
    unread = dict.fromkeys(name for each in value for name in _unread(each))
    notes = [f"`{shown(name)}` of messages is not read" for name in unread]
    return said, tuple(notes)


def _decoded(text: str, column: str) -> Any:
    """Return the list that a text writes down as JSON or as Python does; an empty text as it is."""
    if not text.strip():
        return text
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            found = read(text)
            if isinstance(found, list):
                return found
    message = (
        f"`{column}` is {_brief(text)}, no list of messages as JSON or Python writes it; texts are "
        "read from a column `prompt`"
    )
    raise BadChat("bad_chat", message, shown(text))


def _turn(value: Mapping[str, Any], number: int) -> Message:
    """Return a message as the run has it."""
    payload = shown(str(value))
    role_key, text_key = first_of(_ROLE_KEYS, value), first_of(_TEXT_KEYS, value)
    if role_key is None or text_key is None:
        message = (
            f"turn {number} is {_brief(value)}, not a message of `role` and `content`, or `from` "
            f"and `value`; {_REMEDY}"
        )
        raise BadChat("bad_chat", message, payload)
    role = _ROLES.get(str(value[role_key]).strip().lower())
    if role is None:
        message = (
            f"turn {number} is of the role {_brief(value[role_key])}: a chat has turns of "
            "`system`, `user` and `assistant`"
        )
        raise BadChat("bad_chat", message, payload)
    if called := next((name for name in _CALLS if value.get(name)), None):
        message = f"turn {number} has `{called}`: chats with tools are left out"
        raise BadChat("bad_chat", message, payload)
    return Message(role, _text(value[text_key], number, payload))


def _text(content: Any, number: int, payload: str) -> str:
    """Return the text of a message, which may come in parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = list(_parts(content)) if isinstance(content, list) else [None]
    if None in parts:
        message = f"turn {number} holds {_brief(content)}, not text alone"
        raise BadChat("bad_chat", message, payload)
    return "\n".join(part for part in parts if part is not None)


def _parts(content: Sequence[Any]) -> Iterator[str | None]:
    """Yield the text of each part of a message; None of a part that is something else."""
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else part
        yield text if isinstance(text, str) else None


def _unread(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a message that say something and are not read."""
    read = {first_of(_ROLE_KEYS, message), first_of(_TEXT_KEYS, message)}
    for name, value in message.items():
        said = value.strip() if isinstance(value, str) else isinstance(value, list | dict) and value
        if name not in read and said:
            yield str(name)


def _check(turns: Sequence[Message], column: str) -> None:
    """See that a chat asks for an answer.

    Raises:
        BadChat: it does not.
    """
    payload = shown(turns[-1].content)
    for number, turn in enumerate(turns, 1):
        if turn.role == "system" and number > 1:
            message = f"turn {number} of `{column}` is a system message, which stands first only"
            raise BadChat("bad_chat", message, payload)
    if turns[-1].role != "user":
        message = (
            f"`{column}` ends with a turn of `{turns[-1].role}`: leave out what comes after the "
            f"last turn of the user; {_REMEDY}"
        )
        raise BadChat("bad_chat", message, payload)
    if not turns[-1].content.strip():
        raise BadChat("empty_prompt", "the prompt is empty", payload)
    for number, turn in enumerate(turns, 1):
        if not turn.content.strip():
            message = f"turn {number} of `{column}` is empty: write it, or leave it out"
            raise BadChat("bad_chat", message, payload)
        try:
            turn.content.encode()
        except UnicodeEncodeError:
            message = "not UTF-8: half of a surrogate pair, or a byte that is no character"
            raise BadChat("not_utf8", message, payload) from None


def _brief(value: Any) -> str:
    return json.dumps(value, default=str)[:80]
