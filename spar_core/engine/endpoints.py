"""Where a server is asked: the addresses of its chats and of its list of models, from one URL.

A URL without a path, or with the path `/v1`, is that of a server whose API is under `/v1`. Any
other path is used as it is given, with its query: hosted services have their APIs under paths of
their own (`/v1beta/openai`, `/openai/deployments/D?api-version=...`, `/serving-endpoints`,
`/api/v1`). The address of the chats themselves, as documentation pages show it, is understood too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_CHAT, _MODELS, _API = "/chat/completions", "/models", "/v1"

_SECRET_FIELD = re.compile(
    r"(?<=[?&])((?:[\w.-]*[_.-])?(?:api_?key|key|token|secret|sig|signature|password|code)=)[^&,\s]+",
    re.IGNORECASE,
)

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_LOGIN = re.compile(rf"((?:^|[,\s])\s*(?:{_SCHEME})?)(?:(?![,\s]\s*{_SCHEME}).)*@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The addresses of one server.

    url: the server, in one spelling of all that mean the same. chat, models: what is asked. root:
        what is above `/v1`, where servers have pages of their own.
    """

    url: str
    chat: str
    models: str
    root: str


def endpoint_of(url: str) -> Endpoint:
    """Return the addresses of the server that a URL names.

    Raises:
        ValueError: it is no URL.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix(_CHAT).rstrip("/")
    is_bare = path in ("", _API) and (path == _API or not parts.path.strip("/"))
    base = _API if is_bare else path

    def at(path: str) -> str:
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    # A pasted address without anything above `/chat/completions` has no shorter spelling.
    named = "" if is_bare else base or _CHAT
    return Endpoint(
        url=at(named),
        chat=at(f"{base}{_CHAT}"),
        models=at(f"{base}{_MODELS}"),
        root=urlunsplit((parts.scheme, parts.netloc, base.removesuffix(_API), "", "")),
    )


def shown(url: str) -> str:
    """Return a URL, or several with commas between, as it may be written anywhere.

    Names, passwords and keys in it are left out. Everything before the last `@` of a URL counts as
    name and password, also where it has characters that belong behind the host: a password with a
    `/` makes no valid URL, and must not be shown in the message that says so.
    """
    return _SECRET_FIELD.sub(r"\1***", _LOGIN.sub(r"\1***@", url))


def has_secret(url: str) -> bool:
    """Return whether a URL holds a name, a password or a key."""
    return "@" in urlsplit(url).netloc or _SECRET_FIELD.search(url) is not None
