"""Which fields of a request a server takes: those that its refusals name are renamed or left out.

Fields that every server takes for granted are not sent: `n` where it is 1, which is the default of
all. `temperature` and `top_p` are sent at any value, 1 too, since vLLM and SGLang take other
defaults from a checkpoint's `generation_config.json` and llama.cpp has a top_p of 0.95.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.system_turns import begins_with_system, fold_system
from spar_core.engine.error_bodies import ErrorBody
from spar_core.engine.protocol import RequestRefused

_RENAMED = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
    "seed": "random_seed",
}
"""Other names that servers have for a field."""

_LIMITS = ("max_tokens", "max_completion_tokens")
"""Fields that are never left out: answers would have no bound."""

_DROPPED = ("random_seed", "n", "stop")
"""Fields that the client makes up for, or can do without."""

_DRAWN = ("temperature", "top_p")
"""Fields without which answers are drawn otherwise; a server may take one value and not another."""

_RANGE = re.compile(
    r"too (?:large|small|high|low|big|long)|at (?:most|least)|(?:less|greater|larger|more) than"
    r"|exceed|maximum allowed|must be (?:positive|between|[<>])|> *\d",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a field of requests.

    to: the name that it gets; "" where it is left out, its own where only the
        value changes.
    where: only in requests in which a field has a value.
    """

    name: str
    to: str = ""
    where: tuple[str, Any] | None = None

    def applies(self, body: Mapping[str, Any]) -> bool:
        """Whether a request, as it was before any change, is concerned."""
        return self.where is None or body.get(self.where[0]) == self.where[1]

    @property
    def inverse(self) -> Change | None:
        return Change(self.to, self.name) if self.to not in ("", self.name) else None


FOLD = Change("messages", "messages")
"""The system message of a chat goes into the first turn of the user."""


class RequestFields:
    """The fields that one server takes of one model, as far as its refusals have taught.

    A request is sent again with what its refusal names changed; what was changed in one that is
    then answered is changed in all from then on. Used on one event loop.

    Args:
        optional: fields that are sent beside those of the protocol (`sampling_defaults`).
    """

    def __init__(self, optional: Mapping[str, Any]) -> None:
        self._optional = dict(optional)
        self._changes: dict[Change, None] = {}
        self._told: set[str] = set()

    def shaped(
        self,
        body: Mapping[str, Any],
        changes: Iterable[Change] = (),
        added: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the fields of a request as this server takes them.

        Args:
            changes: what is tried on this request beside what was learned.
            added: fields that a user names, which no change concerns; None as a value takes a field
                out.
        """
        added = added or {}
        fields = {n: v for n, v in {**self._optional, **body}.items() if n not in added}
        for change in (*self._changes, *changes):
            if change.name in fields and change.applies(body):
                value = fields.pop(change.name)
                if change.to and change.to not in added:
                    fields[change.to] = fold_system(value) if change == FOLD else value
        return fields | {name: value for name, value in added.items() if value is not None}

    def takes_n(self, body: Mapping[str, Any]) -> bool:
        """Whether a request may ask for several choices, as far as is known."""
        return not any(change.name == "n" and change.applies(body) for change in self._changes)

    def remedies(
        self,
        error: ErrorBody,
        sent: Mapping[str, Any],
        body: Mapping[str, Any],
        tried: Iterable[Change],
    ) -> list[Change]:
        """Return what to change in a refused request; nothing where that is of no use.

        Args:
            sent: its fields as they were sent. body: as they were before any change. tried: changes
                that were made for this request.
        """
        if error.is_about_system and begins_with_system(sent.get("messages", ())):
            return [FOLD]
        if error.is_about_content:
            return []
        names = error.named(sent)
        if "temperature" in names and "top_p" in names:
            names.remove("temperature")  # some servers want only one of them
        known = set(tried)
        changes = [change for name in names if (change := self._remedy(name, error, body))]
        return [c for c in changes if c not in known and c.inverse not in known]

    def _remedy(self, name: str, error: ErrorBody, body: Mapping[str, Any]) -> Change | None:
        if name in _LIMITS and _RANGE.search(error.words):
            return None
        if name in _RENAMED:
            return Change(name, _RENAMED[name])
        if name == "n" and body["temperature"] == 0:
            return Change(name, where=("temperature", body["temperature"]))
        if name in _DRAWN:
            return Change(name, where=(name, body[name]))
        if name in self._optional or name in _DROPPED:
            return Change(name)
        return None

    def can_change(self, error: ErrorBody, sent: Iterable[str]) -> bool:
        """Whether an error names a field that was sent and may be changed."""
        changeable = {*_RENAMED, *_DROPPED, *_DRAWN, *self._optional}
        return bool(error.named([name for name in sent if name in changeable]))

    def learn(self, changes: Iterable[Change]) -> list[str]:
        """Make these changes in all requests from now on; return what to tell of them, once."""
        new = []
        for change in changes:
            if change.inverse in self._changes:
                del self._changes[change.inverse]
                new.append(change)
            elif change not in self._changes:
                self._changes[change] = None
                new.append(change)
        told = [told for told in self._remarks(new) if told not in self._told]
        self._told.update(told)
        return told

    def _remarks(self, changes: list[Change]) -> list[str]:
        """What the server does, to be read after "the engine at ..."."""
        silent = [c.name for c in changes if c.name in self._optional or c.where == ("top_p", 1)]
        told = []
        if silent:
            names = ", ".join(silent)
            told.append(f"refuses {names}: what it does of its own there stays in force")
        changed = {change.name for change in changes}
        for change in changes:
            if change == FOLD or (change.name not in silent and change.to not in changed):
                told.append(_remark(change))
        return told


def blamed(refusal: RequestRefused, names: Collection[str]) -> RequestRefused:
    """Return a refusal that says which fields of the user it is about, the same where none is."""
    if not names:
        return refusal
    message = f"{refusal} (--engine_body or --thinking gives it {', '.join(names)})"
    return RequestRefused(message, refusal.attempts, refusal.said)


def _remark(change: Change) -> str:
    if change == FOLD:
        return "refuses a system message: it stands at the head of the first turn of the user"
    if change.to:
        return f"takes {change.to} in place of {change.name}"
    match change.name:
        case "n":
            where = " at temperature 0" if change.where else ""
            return f"refuses n{where}: the choices of a request are asked for one by one"
        case "stop":
            return (
                "refuses stop: answers are cut by this client, and what the model writes after "
                "that is paid for"
            )
        case "random_seed":
            return "refuses seed: the same request may be answered otherwise another time"
    value = change.where[1] if change.where else ""
    return (
        f"refuses {change.name} {value}: answers are drawn with its own {change.name}, and not "
        "with the one that settings and rows of the run tell"
    )
