"""docs/servers.md tells of each kind of server what the suite plays."""

from __future__ import annotations

import pytest

from tests.conformance.table import PAGE, rendered, table


def test_the_page_holds_the_table() -> None:
    page = PAGE.read_text()
    assert rendered(page) == page, "python -m tests.conformance.table mends it"


def test_a_row_that_is_not_so_would_be_found() -> None:
    page = PAGE.read_text()
    assert rendered(page.replace("| Ollama |", "| Olama |")) == page


def test_a_page_without_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="has 0 tables"):
        rendered(PAGE.read_text().replace(table(), ""))
