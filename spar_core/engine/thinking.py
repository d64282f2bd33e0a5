"""What `--thinking` asks of a model, in the fields that the kind of its server takes.

Servers have many names for it, and most ignore a name that they do not know: answers would then be
made otherwise than the run says. So fields are sent only where the kind of server is known, by the
engine, by a vendor's host or because the user names it, and a wish that it has no field for is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from spar_core.engine.request_body import fields_of, written

DEFAULT = "default"
"""Nothing is asked for: the model does what it does by itself."""

OFF, ON = "off", "on"
EFFORTS = ("minimal", "low", "medium", "high", "xhigh")

_BUDGET = re.compile("[1-9][0-9]{0,8}")

_Fields = dict[str, Any]


class _No(Exception):
    """The server has no field for what is asked."""


def _switched(value: str) -> _Fields:
    """Arguments of the chat templates of Qwen3, GLM and Gemma 4, and of DeepSeek."""
    is_on = value != OFF
    return {"chat_template_kwargs": {"enable_thinking": is_on, "thinking": is_on}}


def _vllm(value: str) -> _Fields:
    if value in EFFORTS:
        return {"reasoning_effort": value}
    more = {} if value in (ON, OFF) else {"thinking_token_budget": int(value)}
    return _switched(value) | more


def _sglang(value: str) -> _Fields:
    if value in EFFORTS:
        return {"reasoning_effort": value}
    return _switched(_no_budget(value))


def _llamacpp(value: str) -> _Fields:
    if value in EFFORTS:
        return {"chat_template_kwargs": {"reasoning_effort": value}}
    return _switched(_no_budget(value))


def _effort(value: str) -> _Fields:
    """OpenAI and those that have its field; `on` is the effort that most have by default."""
    return {"reasoning_effort": {OFF: "none", ON: "medium"}.get(value, _no_budget(value))}


def _gemini(value: str) -> _Fields:
    if value in (OFF, ON, *EFFORTS):
        return _effort(value)
    return {"extra_body": {"google": {"thinking_config": {"thinking_budget": int(value)}}}}


def _groq(value: str) -> _Fields:
    return {"reasoning_effort": "default"} if value == ON else _effort(value)


def _mistral(value: str) -> _Fields:
    if value not in (OFF, ON, "high"):
        raise _No
    return {"reasoning_effort": "none" if value == OFF else "high"}


def _deepseek(value: str) -> _Fields:
    kind = {"thinking": {"type": "disabled" if value == OFF else "enabled"}}
    return kind | ({"reasoning_effort": value} if _no_budget(value) in EFFORTS else {})


def _openrouter(value: str) -> _Fields:
    if value in (OFF, ON):
        return {"reasoning": {"enabled": value == ON}}
    return {"reasoning": {"effort": value} if value in EFFORTS else {"max_tokens": int(value)}}


def _anthropic(value: str) -> _Fields:
    if value == OFF:
        return {"thinking": {"type": "disabled"}}
    if value == ON or value in EFFORTS:
        raise _No
    return {"thinking": {"type": "enabled", "budget_tokens": int(value)}}


def _no_budget(value: str) -> str:
    if value.isdecimal():
        raise _No
    return value


SERVERS: Mapping[str, Callable[[str], _Fields]] = {
    "vllm": _vllm,
    "sglang": _sglang,
    "llamacpp": _llamacpp,
    "ollama": _effort,
    "openai": _effort,
    "gemini": _gemini,
    "groq": _groq,
    "mistral": _mistral,
    "deepseek": _deepseek,
    "openrouter": _openrouter,
    "anthropic": _anthropic,
}
"""The fields of each kind of server for `on`, `off`, an effort or a number of tokens."""

_HOSTS = {
    "api.openai.com": "openai",
    "openai.azure.com": "openai",
    "generativelanguage.googleapis.com": "gemini",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "openrouter.ai": "openrouter",
    "api.anthropic.com": "anthropic",
}
"""Kinds of servers by the host that a vendor serves from, or the end of its name."""


def parse_thinking(text: str) -> str:
    """Return what was asked for in one spelling.

    Raises:
        ValueError: it is none of `default`, `off`, `on`, an effort, and a number of tokens, or the
            server before the colon is not known.
    """
    server, colon, value = text.strip().lower().rpartition(":")
    if not (value in (DEFAULT, OFF, ON, *EFFORTS) or _BUDGET.fullmatch(value)):
        raise ValueError(
            f"{text[:50]!r} is none of off, on, {', '.join(EFFORTS)}, a number of tokens, and "
            "default, which asks for nothing"
        )
    if colon and server not in SERVERS:
        raise ValueError(f"{server[:50]!r} is no server among {', '.join(SERVERS)}")
    return f"{server}{colon}{value}"


def is_on(thinking: str) -> bool:
    """Return whether a model is asked to think."""
    return thinking.rpartition(":")[2] not in ("", DEFAULT, OFF)


def thinking_fields(thinking: str, kind: str, url: str) -> Mapping[str, Any]:
    """Return the fields of chat requests that ask for it.

    Args:
        thinking: as `parse_thinking` spells it, or "" for nothing.
        kind: the kind of engine. url: where its server is, or several are; "" for one that is
            started.

    Raises:
        ValueError: the kind of server is not known, or it has no field for that.
    """
    named, _, value = thinking.rpartition(":")
    if value in ("", DEFAULT):
        return {}
    server = named or (kind if kind in SERVERS and kind != "openai" else _vendor(url))
    if not server:
        raise ValueError(
            f"which kind of server {url} is cannot be told from its URL: name it as in "
            f"vllm:{value} ({', '.join(SERVERS)}), or give the fields that it takes with "
            "--engine_body"
        )
    try:
        return SERVERS[server](value)
    except _No:
        what = f"a budget of {value} tokens" if value.isdecimal() else value
        raise ValueError(
            f"no field of {server} asks for {what}: give another value, or the fields of your "
            "model with --engine_body"
        ) from None


def with_thinking(body: str, fields: Mapping[str, Any]) -> str:
    """Return a body of `request_body` with further fields.

    Raises:
        ValueError: it has one of them already.
    """
    own = fields_of(body)
    if both := sorted(own.keys() & fields.keys()):
        raise ValueError(
            f"it sets {', '.join(both)}, which --engine_body sets, too: leave one of the two out"
        )
    return written({**own, **fields})


def _vendor(url: str) -> str:
    """The kind of the servers at URLs, all of one vendor; "" where that is not known."""
    kinds = set()
    for each in url.split(","):
        host = urlsplit(each).hostname or ""
        kinds.add(next((k for end, k in _HOSTS.items() if f".{host}".endswith(f".{end}")), ""))
    return kinds.pop() if len(kinds) == 1 else ""
