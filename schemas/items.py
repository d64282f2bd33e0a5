"""`items`: a row is a benchmark's item: what is asked, or a text to be judged or refined."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.prompts import Check
from schemas.table import Table


@dataclass(frozen=True, slots=True)
class Item:
    """A benchmark's item.

    key: its name in the benchmark's own files. position: its place in them. category: the
    benchmark's own part (a kind of constraint, a subset). level: how many constraints were added
    (FollowBench). checks: what a program can check of an answer. given: a text that comes with the
    item: an output to be judged (LLMBar), a failing answer to be refined. label: what is right to
    say of it, Yes or No. details: what else the benchmark scores by, a JSON object.
    """

    item_id: str
    benchmark: str
    key: str
    prompt: str
    position: int
    category: str | None = None
    level: int | None = None
    checks: list[Check] | None = None
    given: str | None = None
    label: str | None = None
    details: str = "{}"


ITEMS = Table(
    "items",
    Item,
    {
        "item_id": "string",
        "benchmark": "string",
        "key": "string",
        "prompt": "string",
        "position": "int64",
        "category": "string",
        "level": "int32",
        "checks": [{"id": "string", "kwargs": "string"}],
        "given": "string",
        "label": "string",
        "details": "string",
    },
)
