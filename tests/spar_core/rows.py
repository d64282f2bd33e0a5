"""Rows as a round leaves them, for the stages that read them (`spar_core.testing`)."""

from __future__ import annotations

from typing import Any

from schemas.seeds import Seed
from spar_core.filters.near_duplicates import bands, signature
from spar_core.ids import seed_id

Tables = dict[str, list[dict[str, Any]]]

NO_COMMA = {"id": "punctuation:no_comma", "kwargs": "{}"}
LOWERCASE = {"id": "change_case:english_lowercase", "kwargs": "{}"}

_JUDGED = {"yes": (0.8, 4), "no": (0.2, 1), "tie": (0.5, 2)}


def prompts() -> Tables:
    """Prompts `p` and `q` to do; `elsewhere` is of another split."""
    rows = [{"prompt_id": name, "prompt": f"do {name}"} for name in ("p", "q")]
    elsewhere = {"prompt_id": "elsewhere", "prompt": "do elsewhere", "split": "test"}
    return {"prompts": [*rows, elsewhere]}


def seeds(*texts: str, split: str = "train") -> list[Seed]:
    """Seeds as they are read, in their order."""
    return [
        Seed(seed_id(text), text, "a file", place, signature(text), bands(signature(text)), split)
        for place, text in enumerate(texts)
    ]


def add(tables: Tables, table: str, **row: Any) -> None:
    """Add a row to a table."""
    tables.setdefault(table, []).append(row)


def respond(tables: Tables, name: str, prompt: str = "p", text: str | None = None) -> None:
    """Add a response."""
    response = f"text of {name}" if text is None else text
    add(tables, "responses", response_id=name, prompt_id=prompt, response=response)


def judged(
    tables: Tables, name: str, verdict: str, prompt: str = "p", text: str | None = None
) -> None:
    """Add a response with its judgement by five votes; one that passes is checked well."""
    respond(tables, name, prompt, text)
    value, yes = _JUDGED[verdict]
    add(
        tables,
        "judgements",
        response_id=name,
        prompt_id=prompt,
        verdict=verdict,
        value=value,
        yes_votes=yes,
        no_votes=5 - yes,
        unparsed_votes=0,
        critique=f"on {name}",
        votes=[{"vote": "No", "text": f"on {name}", "finish_reason": "stop"}] * 5,
        model="judge",
        checked=verdict == "yes",
    )
