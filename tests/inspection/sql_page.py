"""docs/sql.md with the results of its queries.

python -m tests.inspection.sql_page writes it anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.queries import PAGE
from pipelines import refine
from schemas.views import connect
from tests.loopback import serving
from tests.pipelines import rounds

_RESULT = r"\n(?:\|[^\n]*\n)+|\n\(no rows\)\n"
_QUERY_AND_RESULT = re.compile(rf"(```sql\n(.*?)\n```\n)(?:{_RESULT})?", re.DOTALL)
_MOST_CHARS = 60


def rendered(page: str, run: Path) -> str:
    """The page with what its queries give over a run, each below its query."""
    with connect(str(run), locked=True) as connection:
        return _QUERY_AND_RESULT.sub(
            lambda found: f"{found[1]}\n{_result(found[2], connection)}\n", page
        )


def _result(query: str, connection: duckdb.DuckDBPyConnection) -> str:
    answer = connection.execute(query)
    columns, rows = [column[0] for column in answer.description], answer.fetchall()
    if not rows:
        return "(no rows)"
    ruler = ["---:" if isinstance(cell, (int, float)) else "---" for cell in rows[0]]
    lines = [columns, ruler, *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(cell: object) -> str:
    text = "" if cell is None else str(cell).replace("\n", " ").replace("|", "\\|")
    indent = len(text) - len(text.lstrip())
    text = "&nbsp;" * 2 * indent + text.strip()
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}..."


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, serving(rounds.story) as server:
        run, prompts = Path(folder) / "run", rounds.write_prompts(Path(folder) / "prompts.jsonl")
        refine.main(rounds.command(run, prompts, server.url))
        PAGE.write_text(rendered(PAGE.read_text(), run))


if __name__ == "__main__":
    sys.exit(main())
