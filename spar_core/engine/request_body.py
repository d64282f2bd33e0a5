"""Fields of `--engine_body`, which are added to chat requests or, with null, taken out of them.

A body travels as JSON in one spelling, "" for none. What it does to a request is the last word:
nothing that the client knows or learns of a server changes a field that is named there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from spar_core.engine.protocol import ChatAnswer, ChatRequest, Engine

_OURS = {
    "messages": "the client writes the chat",
    "model": "--model names it",
    "n": "the client asks for as many answers as a stage wants (--responses, --votes, --branch)",
}
"""Fields that only the client sets, and why."""

_HARMLESS = """
cache_salt keep_alive metadata priority prompt_cache_key prompt_cache_options
prompt_cache_retention request_id safety_identifier service_tier store stream stream_options user
"""
"""Fields that change no answer: who asks, how soon, at which price, and what is kept of it."""

_HARMLESS_NAMES = frozenset(_HARMLESS.split())

_EXAMPLE = "write it as '{\"top_k\": 20}'"


def parse_body(text: str) -> str:
    """Return a body in one spelling.

    Raises:
        ValueError: the text is no JSON object, or has a field that only the client sets.
    """
    try:
        plain = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"no JSON (nested too deeply): {_EXAMPLE}") from None
    except json.JSONDecodeError as error:
        at = f"{error.msg} at character {error.pos + 1}"
        raise ValueError(f"no JSON ({at}): {_EXAMPLE}") from None
    if not isinstance(plain, dict):
        raise ValueError(f"{_kind(plain)}, and not a JSON object: {_EXAMPLE}")
    for name, why in _OURS.items():
        if name in plain:
            raise ValueError(f"{name} cannot be set: {why}")
    if plain.get("stream"):
        raise ValueError("stream cannot be true: the client reads whole answers")
    if plain.get("seed") is not None:
        raise ValueError(
            "seed can only be null, to leave it out: each request has its own, drawn from --seed"
        )
    return written(plain)


def fields_of(body: str) -> Mapping[str, Any]:
    """Return the fields of a body; those that are None are taken out of requests."""
    fields: dict[str, Any] = json.loads(body) if body else {}
    return fields


def binding(body: str) -> str:
    """Return what of a body changes answers, and so binds the rows that are made with it."""
    return written({n: value for n, value in fields_of(body).items() if n not in _HARMLESS_NAMES})


class WithBody:
    """An engine that is asked with more fields; several roles may share the engine.

    Args:
        fields: that are added to requests, or taken out of them. name: that tables show; "" for
            the engine's.
    """

    def __init__(self, engine: Engine, fields: Mapping[str, Any], name: str = "") -> None:
        self.name = name or engine.name
        self._engine = engine
        self._fields = fields

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Answer a request, as `Engine.chat` does."""
        return await self._engine.chat(dataclasses.replace(request, body=self._fields))


def written(fields: Mapping[str, Any]) -> str:
    """Return fields as JSON, with the same text for equal fields; "" for none."""
    if not fields:
        return ""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse(name: str) -> None:
    raise ValueError(f"no JSON ({name} is no number there): {_EXAMPLE}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:50]} stands there twice: name each field once")
        found[name] = value
    return found


def _kind(plain: object) -> str:
    match plain:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case list():
            return "a list"
    return "a number"
