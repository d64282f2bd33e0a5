"""Where the key of a server is kept: an environment variable, or Google's Secret Manager.

Only the place travels with a job. Whoever talks to the server reads the key there.
"""

from __future__ import annotations

import os
import re
from functools import cache

from spar_core.engine.protocol import EngineGone
from terminal.packages import extra, not_imported

KEY_VARIABLE = "OPENAI_API_KEY"
"""The environment variable that keys are read from where no other place is named."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_VERSION = re.compile(r"projects/[^/\s]+/(?:locations/[^/\s]+/)?secrets/[^/\s]+/versions/[^/\s]+")
_TIMEOUT_S = 30.0


def is_place(said: str) -> bool:
    """Whether this names a variable, or a version of a secret."""
    return bool(_VARIABLE.fullmatch(said) or _VERSION.fullmatch(said))


def read_key(place: str) -> str:
    """The key as its place has it now; "" for none. A secret is fetched once a process.

    Raises:
        EngineGone: the secret cannot be read.
    """
    if _VERSION.fullmatch(place):
        return _secret(place)
    return os.environ.get(place, "").strip()


def mending(place: str) -> str:
    """What to do about a key that is refused."""
    if not place:
        return "name the variable with its key by --engine_key"
    if _VERSION.fullmatch(place):
        return f"see that {place} holds it"
    return f"set {place} in the environment"


def authorization(key: str) -> dict[str, str]:
    """The headers that carry a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


@cache
def _secret(version: str) -> str:
    try:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import secretmanager
    except ImportError as error:
        raise EngineGone(not_imported(version, error, extra("gcp"))) from None
    try:
        with secretmanager.SecretManagerServiceClient() as client:
            answer = client.access_secret_version(name=version, timeout=_TIMEOUT_S)
        return str(answer.payload.data, "utf-8").strip()
    except (GoogleAPIError, GoogleAuthError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise EngineGone(f"cannot read the key at {version}: {why}") from None
