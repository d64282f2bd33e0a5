"""Checks as they stand in the table `prompts`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from spar_core.checks.reading import read_checks

WORDS = "length_constraints:number_words"
AT_LEAST = {"relation": "at least"}
NO_COMMA = {"id": "punctuation:no_comma"}


def one(name: str, **kwargs: Any) -> list[dict[str, str]]:
    """A check as it stands in the table, read from the input."""
    read = read_checks({"checks": [{"id": name, "kwargs": kwargs}]})
    assert read is not None
    return [asdict(each) for each in read]
