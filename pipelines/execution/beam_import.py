"""Apache Beam without packages that it imports for no other reason than that they are installed.

Beam looks for Google's clients, MongoDB's driver and pandas, for connectors and data frames that no
job here has, and Arrow looks for pandas. Where they are installed they are most of the time and the
memory that the imports take.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

_UNUSED = {
    *("google.api_core", "google.auth", "apitools", "pymongo", "bson", "chardet", "pandas"),
    "apache_beam.io.gcp.bigquery",
}


class _Absence(MetaPathFinder):
    """Finds that packages are not there which a runner in this process leaves unused."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname in _UNUSED:
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)


@contextmanager
def without_unused() -> Iterator[None]:
    """Have imports in the body find no packages that a runner in this process leaves unused.

    Whoever imports them later gets them, but Arrow makes no data frames any more.
    """
    import pyarrow as pa

    absence, logger = _Absence(), logging.getLogger("apache_beam.io")
    level = logger.level
    sys.meta_path.insert(0, absence)
    logger.setLevel(logging.ERROR)  # it warns of what is not there
    try:
        pa.array([])  # Arrow looks for pandas once
        yield
    finally:
        logger.setLevel(level)
        sys.meta_path.remove(absence)
