"""Fields of a request that some servers know and others refuse: what is sent, what was refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any


class OptionalFields:
    """The fields that one server is sent beside those of the protocol.

    A server that refuses one names it, each in a form of its own. A request is sent again without
    what its refusal names; what was left out of one that is then answered is never sent again.
    Used on one event loop.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def sent(self) -> dict[str, Any]:
        """What goes into the next request."""
        return dict(self._fields)

    def learn(self, refused: Collection[str]) -> list[str]:
        """Leave these out from now on; returns those that were not left out yet."""
        new = [name for name in refused if name in self._fields]
        for name in new:
            del self._fields[name]
        return new


def named(refusal: str, fields: Collection[str]) -> list[str]:
    """Which of the fields a refusal names, in snake case or camel case."""
    return [
        name for name in fields if re.search(rf"(?<!\w)(?:{name}|{_camel(name)})(?!\w)", refusal)
    ]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)
