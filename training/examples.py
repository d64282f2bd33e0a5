"""Rows of tables as the examples that TRL's trainers take: chats, in its conversational form."""

from __future__ import annotations

from collections.abc import Iterator

from training.data import DataError, Row

Chat = list[dict[str, str]]
Example = dict[str, Chat]

REASONING = "reasoning_content"
"""The field of an answer's message that holds the reasoning before it, until the chat template is
known (`training.chat_template.prepared`)."""

ANSWERS = ("answer", "completion", "response", "chosen")
"""Columns that an answer may stand in."""


def preference(row: Row) -> Iterator[Example]:
    """A pair: prompt, chosen and rejected."""
    yield {
        "prompt": _chat(row["prompt"], "user"),
        "chosen": _chat(row["chosen"], "assistant"),
        "rejected": _chat(row["rejected"], "assistant"),
    }


def last_turn(row: Row) -> Iterator[Example]:
    """A chat: all but its last turn is the prompt, the assistant's last turn is learnt."""
    chat = _chat(row["messages"], "user")
    if len(chat) < 2 or chat[-1]["role"] != "assistant":
        raise DataError(f"a chat must end with a turn of the assistant, not {_shown(chat)}")
    yield {"prompt": chat[:-1], "completion": [_reasoned(chat[-1], row)]}


def every_turn(row: Row) -> Iterator[Example]:
    """A chat, or a prompt and its answer: an example for each turn of the assistant."""
    if "messages" in row:
        chat = _chat(row["messages"], "user")
    else:
        answer = next(row[name] for name in ANSWERS if name in row)
        chat = _chat(row["prompt"], "user") + _chat(answer, "assistant")
    turns = [i for i, message in enumerate(chat) if i and message["role"] == "assistant"]
    if not turns:
        raise DataError(f"a chat without a turn of the assistant: {_shown(chat)}")
    for i in turns:
        is_last = i == len(chat) - 1
        yield {"prompt": chat[:i], "completion": [_reasoned(chat[i], row) if is_last else chat[i]]}


def _reasoned(message: dict[str, str], row: Row) -> dict[str, str]:
    """The last message of a chat with the reasoning before it, where the row has any."""
    reasoning = row.get("reasoning")
    return {**message, REASONING: reasoning} if isinstance(reasoning, str) else message


def _chat(value: object, role: str) -> Chat:
    """Messages as they are; a text as one message of `role`."""
    if isinstance(value, str) and value:
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        raise DataError(f"neither a text nor messages: {_shown(value)}")
    for message in value:
        if not (
            isinstance(message, dict)
            and isinstance(message.get("role"), str)
            and isinstance(message.get("content"), str)
        ):
            raise DataError(f"a message needs a role and a content, both text: {_shown(message)}")
    return [{"role": message["role"], "content": message["content"]} for message in value]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
