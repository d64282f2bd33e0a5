"""The headers by which a server lets us in: its key, and those of `--engine_headers`.

A header is written `NAME=VALUE`, `NAME=env:VARIABLE` or `NAME=secret:VERSION`. Only the name of the
variable, or of the version of a secret, travels with a job; whoever talks to the server reads the
value there. An empty value leaves a header out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spar_core.engine.keys import KEY_VARIABLE, authorization, is_place, mending, read_key
from spar_core.engine.protocol import EngineGone

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_VARIABLE, _SECRET = "env:", "secret:"

_OURS = """
connection content-encoding content-length content-type host transfer-encoding
"""
"""Headers that say how the client writes a request."""

_SECRETS = """
apikey auth authorization cookie credential credentials key keys password secret token
"""
"""Words in names of headers whose values are secrets."""

_OUR_NAMES, _SECRET_WORDS = frozenset(_OURS.split()), frozenset(_SECRETS.split())


class Header(NamedTuple):
    """A header and its value, as a command line names them."""

    name: str
    value: str

    @property
    def place(self) -> str:
        """Where its value is kept, "" where it is the value itself."""
        for kind in (_VARIABLE, _SECRET):
            if self.value.startswith(kind):
                return self.value.removeprefix(kind)
        return ""

    def read(self) -> str:
        """Return its value as its place has it now.

        Raises:
            EngineGone: the place holds none, or one that no header can have.
        """
        value = read_key(self.place) if self.place else self.value
        if self.place and not value:
            raise EngineGone(f"the header {self.name} has no value: {mending(self.place)}")
        if _CONTROL.search(value):
            raise EngineGone(
                f"the header {self.name} cannot have the value that {self.place} holds: it has "
                "control characters"
            )
        return value


@dataclass(frozen=True, slots=True)
class Access:
    """What lets us in at a server.

    key: where its key is kept (`keys`). headers: more that its requests carry.
    """

    key: str = KEY_VARIABLE
    headers: tuple[Header, ...] = ()

    def read(self) -> dict[str, str]:
        """Return the headers of requests, those without a value left out.

        Raises:
            EngineGone: a value cannot be read.
        """
        carried = authorization(read_key(self.key))
        for header in self.headers:
            is_key = header.name.lower() == "authorization"
            carried["Authorization" if is_key else header.name] = header.read()
        return {name: value for name, value in carried.items() if value}

    def secrets(self) -> set[str]:
        """Return the values that must not be written anywhere."""
        kept = {header.read() for header in self.headers if header.place}
        return (kept | {read_key(self.key)}) - {""}

    @property
    def mending(self) -> str:
        """What to do where a server does not let us in."""
        return mending(self.key) + (", or see --engine_headers" if self.headers else "")


def parse_headers(words: Sequence[str]) -> tuple[Header, ...]:
    """Return the headers that words name, in one order.

    Raises:
        ValueError: one is none, is the client's to set, or holds a secret itself.
    """
    found: dict[str, Header] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError("write a header as NAME=VALUE or NAME=env:VARIABLE")
        header = Header(name, value.strip())
        _check(header)
        if name.lower() in found:
            raise ValueError(f"{name} stands there twice: name each header once")
        found[name.lower()] = header
    return tuple(found[name] for name in sorted(found))


def _check(header: Header) -> None:
    name, value = header
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header: write NAME=VALUE")
    if name.lower() in _OUR_NAMES:
        raise ValueError(f"{name} is set by the client, which writes the request")
    if _CONTROL.search(value):
        raise ValueError(f"the value of {name} holds a control character")
    if value.startswith(_VARIABLE) and ("/" in header.place or not is_place(header.place)):
        raise ValueError(
            f"{name}=env: takes the name of an environment variable, in capitals: "
            f"{name}=env:ENGINE_SECRET"
        )
    if value.startswith(_SECRET) and ("/" not in header.place or not is_place(header.place)):
        raise ValueError(f"{name}=secret: takes projects/P/secrets/S/versions/V")
    is_secret = not _SECRET_WORDS.isdisjoint(re.split(r"[-_.]", name.lower()))
    if value and not header.place and is_secret:
        raise ValueError(
            f"the value of {name} would stand in the command line: put it into the environment "
            f"and write {name}=env:VARIABLE"
        )
