"""The table in docs/servers.md of what kinds of servers take, made from the kinds that are played.

python -m tests.conformance.table writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.kind import Refusal, ServerKind
from tests.conformance.kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"

_HEAD = "| server | path; key | list of models | refuses: what is done | reasoning in | in doubt |"
_TABLE = re.compile(rf"^{re.escape(_HEAD)}\n(?:\|.*\n)+", re.MULTILINE)
_LISTS = {401: "forbidden", 404: "missing"}


def rendered(page: str) -> str:
    """Return the page with the table as the kinds make it."""
    found, count = _TABLE.subn(lambda _: table(), page)
    if count != 1:
        raise ValueError(f"the page has {count} tables that begin with {_HEAD}")
    return found


def table() -> str:
    """Return the table, a row for each kind of server."""
    cells = ((name, *_cells(kind)) for name, kind in KINDS.items())
    rows = ("".join(f" {cell} |" if cell else " |" for cell in row) for row in cells)
    ruler = re.sub(r"[^|]+", "---", _HEAD)
    return "\n".join((_HEAD, ruler, *(f"|{row}" for row in rows), ""))


def _cells(kind: ServerKind) -> tuple[str, ...]:
    address = f"`{kind.path}{kind.query}`" + (f"; `{kind.key_header}`" if kind.key_header else "")
    return address, _list(kind), "; ".join(_changes(kind)) or "nothing", kind.reasoning, kind.doubts


def _list(kind: ServerKind) -> str:
    if kind.list_status != 200:
        return f"{_LISTS[kind.list_status]} ({kind.list_status})"
    if kind.listed == kind.model:
        return "has the path of its file" if kind.model.startswith("/") else "has it"
    return f"has it as `{kind.listed}`"


def _changes(kind: ServerKind) -> Iterator[str]:
    """What is refused or ignored and what the client does then, equal reactions together."""
    if kind.choices:
        yield "ignores `n`: missing choices are asked for"
    grouped: dict[str, list[str]] = {}
    for name, refusal in kind.refused.items():
        shown = f"`{name}` {refusal.where}".rstrip()
        grouped.setdefault(_reaction(kind, refusal), []).append(shown)
    yield from (f"{', '.join(names)}: {then}" for then, names in grouped.items())


def _reaction(kind: ServerKind, refusal: Refusal) -> str:
    if to := kind.renamed.get(refusal.field):
        return f"`{to}` is sent"
    match refusal.field:
        case "n":
            return "a request for each choice"
        case "stop":
            return "answers are cut here"
        case "temperature" | "top_p" if refusal.where != "1":
            return "left out, so drawn otherwise than set"
    return "left out"


def main() -> None:
    PAGE.write_text(rendered(PAGE.read_text()))


if __name__ == "__main__":
    main()
