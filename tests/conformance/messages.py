"""The messages of a completion in which servers put the reasoning of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Message = dict[str, Any]

PLAIN = ""
"""The place of the reasoning of a model that shows none."""

MESSAGES: Mapping[str, Callable[[str, str], Message]] = {
    "`<think>` in the text": lambda thought, text: {
        "content": f"<think>\n{thought}\n</think>\n\n{text}"
    },
    "a text before a lone `</think>`": lambda thought, text: {
        "content": f"{thought}\n</think>\n\n{text}"
    },
    "`<reasoning>` in the text": lambda thought, text: {
        "content": f"<reasoning>{thought}</reasoning>{text}"
    },
    "`reasoning`": lambda thought, text: {"content": text, "reasoning": thought},
    "`reasoning_content`": lambda thought, text: {
        "content": f"\n\n{text}",
        "reasoning_content": f"\n{thought}\n",
    },
    "chunks of type `thinking`": lambda thought, text: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
            {"type": "text", "text": text},
        ]
    },
}
"""The message of a thought and an answer, by the place of the thought."""


def message(place: str, thought: str, text: str) -> Message:
    """Return the message of an answer, without the thought where no place is given for it."""
    return {"content": text} if place == PLAIN else MESSAGES[place](thought, text)
