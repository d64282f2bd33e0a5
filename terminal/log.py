"""Warnings in the log, which is often a terminal: text of others is only text there, too."""

from __future__ import annotations

import logging

from terminal.text import as_text, without_logins


def warn(source: str, message: str) -> None:
    """Log a warning with control characters spelt out and without logins in URLs.

    Args:
        source: the module that warns.
    """
    logging.getLogger(source).warning("%s", as_text(without_logins(message)))
