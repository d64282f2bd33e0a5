"""Text of files and their names that UTF-8 cannot hold."""

from __future__ import annotations


def shown(text: str) -> str:
    """Return text that UTF-8 can hold: what it cannot is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
