"""JSON as its standard has it: without NaN and infinite numbers, which many readers refuse."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_STRING_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)')


def dumps(value: Any, **form: Any) -> str:
    """Return a value as JSON; numbers that are not finite become null.

    Args:
        value: plain values, as `json.dumps` takes them.
        form: passed to `json.dumps`.
    """
    try:
        return json.dumps(value, allow_nan=False, **form)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, **form)


def finite(text: str) -> str:
    """Return a JSON text that others wrote, with null for NaN and Infinity outside its strings."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return _STRING_OR_NUMBER.sub(lambda found: found[0] if found[0][0] == '"' else "null", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
