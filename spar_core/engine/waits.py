"""How long a busy server asks to wait, in its headers or in the body of its answer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_DURATION = re.compile(rf"(?:{_PART})+")
_RETRY_DELAY = re.compile(r'\\?"retryDelay\\?"\s*:\s*\\?"([\d.a-z]+)\\?"')
_RESET = re.compile(
    r"(?:x-)?ratelimit-reset(?:-[\w-]+)?|anthropic-ratelimit-[\w-]+-reset", re.IGNORECASE
)
_EPOCH_S, _EPOCH_MS = 1e9, 1e12


def asked_wait_s(headers: Mapping[str, str], text: str) -> float | None:
    """Return the seconds that a server says to wait before the next try; None where it says none.

    Args:
        headers: of its answer; looked up whatever their case.
        text: the body of its answer.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    said = headers.get("Retry-After", "")
    if (seconds := _number(said)) is not None:
        return seconds
    if (until := _until_date(said)) is not None:
        return until
    delay = _RETRY_DELAY.search(text)
    return duration_s(delay[1]) if delay else None


def reset_wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a rate limit is reset; None where no header tells.

    Of several limits the one is waited for that lasts longest among those that are used up, or that
    ends first where it is not told which are.
    """
    spent, others = list[float](), list[float]()
    for name, said in headers.items():
        if _RESET.fullmatch(name) and (wait := _reset_s(said)):
            left = headers.get(re.sub("reset", "remaining", name, flags=re.IGNORECASE))
            (spent if left is not None and _number(left) == 0 else others).append(wait)
    if spent:
        return max(spent)
    return min(others, default=None)


def duration_s(said: str) -> float | None:
    """Return the seconds of a duration such as `1m30s` or `250ms`.

    >>> duration_s("1m30s"), duration_s("250ms"), duration_s("soon")
    (90.0, 0.25, None)
    """
    if not _DURATION.fullmatch(said):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, said))


def _reset_s(said: str) -> float | None:
    """Seconds until a reset: a duration, a point in time, or a number of seconds."""
    said = said.strip()
    if (number := _number(said)) is not None:
        if number >= _EPOCH_MS:
            number /= 1000
        return max(0.0, number - time.time()) if number >= _EPOCH_S else number
    if (seconds := duration_s(said)) is not None:
        return seconds
    try:
        return _until(datetime.fromisoformat(said))
    except ValueError:
        return None


def _until_date(said: str) -> float | None:
    """Seconds until an HTTP date; None where it is past or no date."""
    try:
        return _until(parsedate_to_datetime(said)) or None
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _until(moment: datetime) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())


def _number(said: str | None) -> float | None:
    try:
        number = float(said or "")
    except ValueError:
        return None
    return number if number >= 0 else None
