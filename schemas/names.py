"""Names that a run's control files hold, matched in full when such a file is read.

A run may have been made by somebody else. What its manifest, settings and job note say becomes a
path or an address, so that `../` in a name would lead out of the run's folder. Whatever is not a
plain name is refused, and nothing of its file is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from terminal.exits import InputError

VARIANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
"""The name of a variant."""

STAGE = re.compile(r"\w[\w-]{0,99}", re.ASCII)
"""The name of a stage."""

WORK = re.compile(r"\w[\w.@=+:,-]{0,199}", re.ASCII)
"""The name of a bucket of items, of a plan, or of a file without a folder."""

DATA_FILE = re.compile(r"(?P<table>\w+)/iteration=\d{1,9}/\w[\w.@=+:,-]{0,299}\.parquet", re.ASCII)
"""The path of a data file in its run."""

_SHOWN = 80


class BadControlFile(InputError, ValueError):
    """A control file of a run that holds something no job writes."""


def refused(path: str, what: str) -> NoReturn:
    """Refuse a control file.

    Args:
        path: of the file. what: what is wrong with it, as the end of a sentence.

    Raises:
        BadControlFile: always.
    """
    raise BadControlFile(
        f"{path} {what}: no job of this program writes that, so nothing of it is used; restore the "
        "file from a copy of the run, or remove it if you do not trust the run"
    )


def matched(pattern: re.Pattern[str], value: object, path: str, what: str) -> str:
    """Return a value that is a text and matches a pattern in full.

    Args:
        path: of the file that holds the value. what: what the value names.

    Raises:
        BadControlFile: it is no text, or does not match.
    """
    if not isinstance(value, str) or not pattern.fullmatch(value):
        refused(path, f"names {what} {brief(value)}")
    return value


def data_path(value: object, path: str, table: str | None = None) -> str:
    """Return the path of a data file, relative to its run.

    Args:
        path: of the file that holds the value. table: that the file must be of, None for any.

    Raises:
        BadControlFile: it is not of the form `TABLE/iteration=N/NAME.parquet`.
    """
    found = matched(DATA_FILE, value, path, "the data file")
    if table is not None and found.partition("/")[0] != table:
        refused(path, f"names the data file {brief(value)} for the table {brief(table)}")
    return found


def whole(value: object, path: str, what: str, most: int = 2**53) -> int:
    """Return a value that is a whole number from 0 to `most`.

    Raises:
        BadControlFile: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        refused(path, f"holds {brief(value)} for {what}")
    return value


def record(value: object, path: str) -> Mapping[str, Any]:
    """Return a value that is a JSON object.

    Raises:
        BadControlFile: it is not.
    """
    if not isinstance(value, dict):
        refused(path, f"holds {brief(value)} in place of a JSON object")
    return value


def brief(value: object) -> str:
    """Return a value as a message shows it: quoted, on one line, not long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
