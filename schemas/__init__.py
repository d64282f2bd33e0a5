"""The tables of a run: row types, Arrow schemas, the manifest and the DuckDB views."""

from schemas.failures import FAILURES
from schemas.judgements import JUDGEMENTS
from schemas.nodes import NODES
from schemas.pairs import PAIRS
from schemas.prompts import PROMPTS
from schemas.responses import RESPONSES
from schemas.rft import RFT
from schemas.table import Table
from schemas.trees import TREES

TABLES: dict[str, Table] = {  # type: ignore[type-arg]
    table.name: table
    for table in (PROMPTS, RESPONSES, JUDGEMENTS, NODES, TREES, PAIRS, RFT, FAILURES)
}
"""Every table of a run by its name."""
