"""What an error of a server means: for one request, for the whole run, or only for now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.system_turns import begins_with_system
from spar_core.engine.access import Access
from spar_core.engine.connections import login_wanted
from spar_core.engine.endpoints import Endpoint, shown
from spar_core.engine.error_bodies import ErrorBody, read_error
from spar_core.engine.faults import Fault
from spar_core.engine.protocol import EngineGone, PromptTooLong, RequestRefused
from spar_core.engine.request_fields import RequestFields
from spar_core.engine.waits import asked_wait_s, reset_wait_s

BUSY = {429, 498, 502, 503, 504, 524, 529}
"""Statuses of a server that takes no more for now: Groq has 498, proxies 524, Anthropic 529."""

_NO_ACCESS = {401, 402, 403, 404}

_LONGEST_QUOTA_WAIT_S = 600.0
"""A server whose daily quota is used up and that asks for a longer wait is not waited for."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that a server gives in place of an answer.

    text: its body, without the key. has_answered: whether the server answered a request before, so
    that key, address and model are right.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    has_answered: bool

    @property
    def message(self) -> str:
        return f"HTTP {self.status}: {brief(self.text)}"


def error_of(
    reply: ErrorReply,
    *,
    endpoint: Endpoint,
    model: str,
    access: Access,
    fields: RequestFields,
    sent: Mapping[str, Any],
) -> Exception:
    """Return what is to be raised for an error.

    Args:
        sent: the fields of the request that may be changed.

    Returns:
        Fault: the request may be sent again. RequestRefused, PromptTooLong: it may not, others may.
        EngineGone: the server will answer none.
    """
    status, at, error = reply.status, f"the engine at {shown(endpoint.url)}", read_error(reply.text)
    if status == 407:
        return login_wanted(endpoint.url)
    if status in _NO_ACCESS:
        return _no_access(reply, error, endpoint, model, access)
    is_system_refused = error.is_about_system and begins_with_system(sent.get("messages", ()))
    if status >= 500 and (error.is_about_template or is_system_refused):
        return RequestRefused(reply.message, said=reply.text if is_system_refused else "")
    # Bedrock's refusals of a field look like this for some models.
    is_refused_field = status == 503 and error.is_about_support and fields.can_change(error, sent)
    if status in BUSY and not is_refused_field:
        return _busy(reply, error, at)
    if is_refused_field or (400 <= status < 500 and status != 408):
        is_long = error.is_about_context
        return (
            PromptTooLong(reply.message)
            if is_long
            else RequestRefused(reply.message, said=reply.text)
        )
    return Fault(reply.message)


def _no_access(
    reply: ErrorReply, error: ErrorBody, endpoint: Endpoint, model: str, access: Access
) -> Exception:
    """What a server means that refuses the key, the account, the address or the model.

    Some refuse with the same statuses what one request says or wants.
    """
    status, message, at = reply.status, reply.message, f"the engine at {shown(endpoint.url)}"
    is_of_item = error.is_about_content or (reply.has_answered and not error.is_about_key)
    if status == 401 or (status == 403 and not is_of_item):
        return EngineGone(f"{at} refuses the key ({message}): {access.mending}")
    if status == 402:
        return EngineGone(f"{at} wants to be paid ({message}): see to its account")
    if status == 404 and (not reply.has_answered or error.is_about_model(model)):
        return EngineGone(
            f"{at} has no such page or model (POST {shown(endpoint.chat)}: {message}): see "
            "--engine_url and --model"
        )
    return RequestRefused(message)


def _busy(reply: ErrorReply, error: ErrorBody, at: str) -> Exception:
    wait_s = asked_wait_s(reply.headers, reply.text)
    if reply.status == 429:
        is_long = wait_s is None or wait_s > _LONGEST_QUOTA_WAIT_S
        if error.is_spent_account or (is_long and error.is_daily_quota):
            return EngineGone(
                f"{at} has no quota left ({reply.message}): run the same command again when the "
                "quota is renewed or raised"
            )
        if wait_s is None:
            wait_s = reset_wait_s(reply.headers)
    return Fault(reply.message, busy=True, silent=True, wait_s=wait_s)


def status_of(error: object) -> int | None:
    """Return the HTTP status that an error within an answer tells, None where it tells none."""
    told = [error.get("code"), error.get("status")] if isinstance(error, dict) else []
    codes = [int(code) for code in told if isinstance(code, int | str) and str(code).isdecimal()]
    return next((code for code in codes if 400 <= code < 600), None)


def brief(text: str) -> str:
    """Return the beginning of what a server says, on one line."""
    return text[:300].replace("\n", " ")
