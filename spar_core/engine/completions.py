"""Reads chat completions as servers write them: their JSON, texts, reasons to finish and usage.

What a text is and what is reasoning before it: `spar_core.engine.reasoning`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from schemas.finish_reasons import CALLS, CUT, DISCARDED, FAILED
from spar_core.engine.faults import Fault
from spar_core.engine.protocol import AnswerDiscarded
from spar_core.engine.reasoning import split_message

_FOREIGN = {b"<": "HTML", b"data:": "an event stream", b"event:": "an event stream"}
"""What an answer begins with that comes from no API, or not from this one."""


class ErrorInAnswer(Exception):
    """An error that a server gives with status 200, beside or in place of choices."""

    def __init__(self, error: object) -> None:
        super().__init__("an error with status 200")
        self.error = error


class TokenCounts(NamedTuple):
    """Tokens of prompt and answers as a server tells them; 0 where it tells no number.

    completion: with the reasoning, also where the server's own count leaves it out. reasoning:
        those of the completion that are reasoning.
    """

    prompt: int
    completion: int
    reasoning: int = 0


def load(text: bytes) -> Any:
    """Return a response's JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def foreign(text: bytes) -> str:
    """Return what it is that was sent in place of JSON, "" where that is not known."""
    start = text.lstrip()[:6]
    return next((kind for prefix, kind in _FOREIGN.items() if start.startswith(prefix)), "")


def usage_of(plain: dict[str, Any]) -> TokenCounts:
    """Return the tokens that a completion tells; an odd usage fails no answer.

    Some servers leave the reasoning out of the completion, and in the total alone (Gemini).
    """
    usage = plain.get("usage")
    if not isinstance(usage, dict):
        return TokenCounts(0, 0)
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt and completion:
        completion = max(completion, _count(usage.get("total_tokens")) - prompt)
    return TokenCounts(prompt, completion, _count(reasoning))


def _count(told: object) -> int:
    if isinstance(told, str) and told.isdecimal():
        told = int(told)
    is_count = isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told < 1 << 31
    return int(told) if is_count else 0  # type: ignore[call-overload]


def choices_of(plain: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Return the first n choices of a completion, their texts and reasons to finish made plain.

    The content of a message is then its answer, and `reasoning` the reasoning that was split off.

    Raises:
        ErrorInAnswer: the completion or a choice holds an error.
        Fault: there is no choice, or the server failed while it wrote one.
        AnswerDiscarded: a filter ended a choice, or it calls a tool and says nothing.
        LookupError, TypeError, AttributeError: it is no completion.
    """
    if error := plain.get("error"):
        raise ErrorInAnswer(error)
    choices: list[dict[str, Any]] = plain["choices"][:n]
    if not choices:
        raise Fault("the engine's answer holds no choice")
    is_opened_by_template = False
    for choice in choices:
        if error := choice.get("error"):
            raise ErrorInAnswer(error)
        message = choice["message"]
        parts = split_message(message)
        text = message["content"] = clean(parts.answer)
        message["reasoning"] = clean(parts.reasoning)
        is_opened_by_template |= parts.is_opened_by_template
        choice["finish_reason"] = reason = _reason(choice)
        if reason in FAILED:
            raise Fault(f"the engine failed while it answered (finish_reason {reason})")
        is_empty = not text.strip()
        if reason in DISCARDED or (reason in CALLS and is_empty):
            raise AnswerDiscarded(f"an answer ended with finish_reason {reason}: it is discarded")
        if is_empty and (refusal := message.get("refusal")):
            raise AnswerDiscarded(f"the model refuses to answer: {str(refusal)[:300]}")
    if is_opened_by_template:
        _move_unclosed(choices)
    return choices


def _move_unclosed(choices: list[dict[str, Any]]) -> None:
    """Take cut choices without any reasoning for reasoning that was cut.

    Only for choices of which another shows that the chat template opens the reasoning.
    """
    for choice in choices:
        message = choice["message"]
        if choice["finish_reason"] in CUT and not message["reasoning"]:
            message["reasoning"], message["content"] = message["content"].strip(), ""


def written(choice: Mapping[str, Any]) -> str:
    """Return all that the model wrote for a choice of `choices_of`: reasoning and answer."""
    message: dict[str, str] = choice["message"]
    return message["reasoning"] + message["content"]


def _reason(choice: dict[str, Any]) -> str:
    """Why a choice ended; a server that never tells it is taken to tell of whole answers."""
    reason = choice.get("finish_reason", "stop")
    return "null" if reason is None else (clean(reason) or "stop").lower()


def clean(text: object) -> str:
    """Return a text as UTF-8 can hold it: models can answer with half a surrogate pair."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise TypeError("content is no text")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def before_stop(text: str, stops: Collection[str]) -> str | None:
    """Return the text before the first of the stop texts, None where it holds none of them."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else None
